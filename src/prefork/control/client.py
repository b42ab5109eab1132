"""The control client: one JSON object a line each way, over the server's socket for operators."""

import json
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from prefork.control import system
from prefork.errors import ControlError, SettingsError
from prefork.sockets.addresses import parse_address

#: Seconds an arbiter may take to answer; one that supervises answers in milliseconds.
PATIENCE: Final = 5.0


class Control:
    """A connection to a running server's control socket."""

    def __init__(
        self, address: str, secret: Path | None = None, patience: float = PATIENCE
    ) -> None:
        """Connect to ``address``, ``unix:…`` or ``tcp://…``.  Raises ControlError.

        ``secret`` is the file with the token that the server asks for over TCP.
        """
        self.address = address
        self._secret = secret
        self._patience = patience
        self._received = b""
        self._is_answered = False
        greeting = b"" if secret is None else _greeting(address, secret)
        try:
            self._socket = _connected(address, patience, greeting)
        except OSError as error:
            raise ControlError(f"cannot reach the server at {address}: {_reason(error)}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def ask(self, command: str, **arguments: object) -> Any:
        """Return the server's result for ``command``.

        Raises SettingsError when it refuses, ControlError when it does not answer in time or
        is gone.
        """
        request = json.dumps({"command": command, **arguments}) + "\n"
        try:
            self._socket.sendall(request.encode())
            answer = json.loads(self._line())
        except TimeoutError as error:
            raise ControlError(
                f"the server at {self.address} did not answer within {self._patience:g} s"
            ) from error
        except (OSError, ValueError) as error:
            raise ControlError(self._complaint(command, error)) from error
        if not answer["ok"]:
            raise SettingsError([answer["error"]])
        return answer["result"]

    def wait_closed(self) -> None:
        """Return when the server is gone, however long that takes."""
        self._socket.settimeout(system.STEP)
        while True:
            try:
                if not self._socket.recv(4096):
                    return
            except TimeoutError:
                continue
            except ConnectionError:  # gone in a hurry, but gone
                return

    def _line(self) -> bytes:
        while b"\n" not in self._received:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("it closed the connection")
            self._received += data
            self._is_answered = True
        line, _, self._received = self._received.partition(b"\n")
        return line

    def _complaint(self, command: str, error: OSError | ValueError) -> str:
        # A client with a wrong token gets no answer: its connection is closed.
        cut_off = isinstance(error, ConnectionError) and not self._is_answered
        if cut_off and self._secret is not None:
            return f"the server at {self.address} refused the token in {self._secret}, or is going"
        return f"the server at {self.address} gave no answer to {command}: {_reason(error)}"


def _connected(address: str, patience: float, greeting: bytes) -> socket.socket:
    where: Any
    if address.startswith("unix:"):
        sock, where = system.unix_client(address)
    else:
        parsed = parse_address(address)
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # A request must not wait until the token before it has been acknowledged.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        where = (parsed.host, parsed.port)
    sock.settimeout(patience)
    try:
        sock.connect(where)
        sock.sendall(greeting)
    except OSError:
        sock.close()
        raise
    return sock


def _greeting(address: str, secret: Path) -> bytes:
    """Return the first line for the server at ``address``."""
    # Takes its time to import, and no Unix socket needs it.
    from prefork.control.token import Secret

    try:
        return Secret.read(secret).greeting()
    except (OSError, ValueError) as error:
        raise ControlError(
            f"the token of the server at {address} cannot be read from {secret}: {_reason(error)}"
        ) from error


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
