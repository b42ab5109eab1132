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
    raise OSError(errno.EAFNOSUPPORT, f"Windows has no {address} for {backlog} clients")


def unix_client(address: str) -> tuple[socket.socket, str]:
    """Raise OSError."""
    raise OSError(errno.EAFNOSUPPORT, f"Windows has no {address}")
