"""The token that operators need on the loopback interface, and the file that only they can read.

Every user of the machine can connect there, and the system does not report which one it is.
"""

import contextlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Self

import msgspec


class Greeting(msgspec.Struct, frozen=True):
    """The first line of a client."""

    token: str


class Secret(msgspec.Struct, frozen=True):
    """The content of the file: which server it is for, and its token."""

    address: str
    token: str

    @classmethod
    def new(cls, address: str) -> Self:
        """Return one for the server at ``address`` that cannot be guessed."""
        return cls(address, secrets.token_hex(32))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return what is in ``path``; raises OSError, and ValueError when it is no secret."""
        return msgspec.json.decode(path.read_bytes(), type=cls)

    def write(self, path: Path) -> None:
        """Put it at ``path``, whole and for its owner only from the first moment; raises OSError.

        On Windows the mode means nothing: there the file is its owner's because its directory is.
        """
        new = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        try:
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(msgspec.json.encode(self))
            new.replace(path)
        except OSError:
            new.unlink(missing_ok=True)
            raise

    def remove(self, path: Path) -> None:
        """Remove ``path`` if this is in it, and not that of a successor."""
        # It may be gone, or open for a client, which keeps it on Windows.  What stays behind
        # is the token of a server that is gone.
        with contextlib.suppress(OSError, ValueError):
            if Secret.read(path) == self:
                path.unlink()

    def greeting(self) -> bytes:
        """Return the line by which a client shows that it could read the file."""
        return msgspec.json.encode(Greeting(self.token)) + b"\n"

    def is_in(self, line: bytes) -> bool:
        """Return whether ``line``, of any client, holds the token."""
        try:
            greeting = msgspec.json.decode(line, type=Greeting)
        except ValueError:
            return False
        # Takes equally long however much of it is right.
        return hmac.compare_digest(greeting.token.encode(), self.token.encode())
