"""Addresses as text: the values of ``--bind``, and what status and log show."""

import os
import re
from dataclasses import dataclass
from typing import Final, Literal

from prefork.errors import ListenError

Scheme = Literal["tcp", "udp", "unix", "unixgram", "fd"]

_HOST_PORT: Final = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]/]*):(?P<port>[0-9]+)")


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; ``str()`` is its canonical text, as in status and log."""

    scheme: Scheme
    host: str = ""  #: of tcp and udp
    port: int = 0  #: of tcp and udp; 0 is any free one
    path: str = ""  #: of unix and unixgram; an abstract name begins with ``@``
    fd: int = -1  #: of fd

    def __str__(self) -> str:
        match self.scheme:
            case "tcp" | "udp":
                host = f"[{self.host}]" if ":" in self.host else self.host
                return f"{self.scheme}://{host}:{self.port}"
            case "unix" | "unixgram":
                return f"{self.scheme}:{self.path}"
            case "fd":
                return f"fd://{self.fd}"

    @property
    def is_file(self) -> bool:
        """Return whether the address is a Unix socket in the file system."""
        return self.scheme in ("unix", "unixgram") and not self.path.startswith("@")


def parse_address(text: str) -> Address:
    """Return the address in ``text``: ``[tcp://]HOST:PORT``, ``unix:PATH``, ``fd://N`` …

    Raises ListenError when the text is no address, or of a kind this version does not serve.
    """
    match _parted(text):
        case ("tcp" | "udp" as scheme, rest):
            return _internet_address(scheme, text, rest)
        case ("unix" | "unixgram" as scheme, rest):
            if 0 < len(os.fsencode(rest)) < 108 and rest != "@":
                return Address(scheme, path=rest)
            raise ListenError(
                f"{text!r} needs a path of 1 to 107 bytes, as in {scheme}:/run/app.sock"
            )
        case ("fd", rest) if rest.isascii() and rest.isdigit() and len(rest) < 10:
            return Address("fd", fd=int(rest))
        case ("fd", _):
            raise ListenError(
                f"{text!r} needs the number of an open descriptor, as in fd://3, or on Windows "
                "that of a socket's handle"
            )
        case (scheme, _):
            raise ListenError(
                f"{text!r} has the unknown scheme {scheme!r}; "
                "tcp://, udp://, unix:, unixgram: and fd:// are possible"
            )


def _parted(text: str) -> tuple[str, str]:
    """Return the scheme of ``text``, and what follows it."""
    scheme, separator, rest = text.partition("://")
    if separator:
        return scheme, rest
    for scheme in ("unix", "unixgram"):
        if text.startswith(f"{scheme}:"):
            return scheme, text.removeprefix(f"{scheme}:")
    return "tcp", text


def _internet_address(scheme: Literal["tcp", "udp"], text: str, rest: str) -> Address:
    match = _HOST_PORT.fullmatch(rest)
    if not match:
        raise ListenError(
            f"{text!r} is not an address; use HOST:PORT, :PORT, [::1]:PORT or unix:PATH"
        )
    port = int(match["port"])
    if port > 65535:
        raise ListenError(f"{text!r} has the port {port}; ports go from 0 to 65535")
    return Address(scheme, host=match["host"].strip("[]") or "0.0.0.0", port=port)
