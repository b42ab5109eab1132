"""What of the control socket is particular to Windows: there are no Unix sockets."""

import errno
import socket
from typing import Final, NoReturn

#: Seconds of a wait without end after which to begin anew: here Ctrl-C interrupts none.
STEP: Final = 0.5


def reserve(listener: socket.socket) -> int | None:
    """Return None: sockets do not use up descriptors."""
    del listener
    return None


def unix_endpoint(address: str, backlog: int) -> NoReturn:
    """Raise OSError."""
    del backlog
    raise OSError(errno.EAFNOSUPPORT, _no_unix_socket(address))


def unix_client(address: str) -> tuple[socket.socket, str]:
    """Raise OSError."""
    raise OSError(errno.EAFNOSUPPORT, _no_unix_socket(address))


def _no_unix_socket(address: str) -> str:
    return f"on Windows the control socket cannot be {address}, but tcp://127.0.0.1:PORT"
