"""The control client: one JSON object a line each way, over the server's Unix socket."""

import json
import socket
from types import TracebackType
from typing import Any, Final, Self

from prefork.errors import ControlError, SettingsError

#: Seconds an arbiter may take to answer; one that supervises answers in milliseconds.
PATIENCE: Final = 5.0


class Control:
    """A connection to a running server's control socket."""

    def __init__(self, address: str, patience: float = PATIENCE) -> None:
        """Connect to ``address``, a ``unix:…``.  Raises ControlError."""
        self.address = address
        self._patience = patience
        path = address.removeprefix("unix:")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(patience)
        self._received = b""
        try:
            self._socket.connect("\0" + path[1:] if path.startswith("@") else path)
        except OSError as error:
            self._socket.close()
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
            raise ControlError(
                f"the server at {self.address} gave no answer to {command}: {_reason(error)}"
            ) from error
        if not answer["ok"]:
            raise SettingsError([answer["error"]])
        return answer["result"]

    def wait_closed(self) -> None:
        """Return when the server is gone, however long that takes."""
        self._socket.settimeout(None)
        try:
            while self._socket.recv(4096):
                pass
        except ConnectionResetError:
            pass  # gone in a hurry, but gone

    def _line(self) -> bytes:
        while b"\n" not in self._received:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("it closed the connection")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
