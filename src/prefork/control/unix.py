"""The Unix socket, where the system itself knows which user an operator is."""

import os
import socket
from pathlib import Path
from typing import Final

from prefork.sockets.listeners import file_identity
from prefork.sockets.posix import remove_stale_socket

#: Seconds of a wait without end after which to begin anew: none, for Ctrl-C interrupts each.
STEP: Final = None


class UnixEndpoint:
    """Listens on a path, or on an abstract name."""

    secret = None  #: none is needed

    def __init__(self, address: str, backlog: int) -> None:
        """Listen on ``address``, ``unix:PATH`` or ``unix:@NAME``; raises OSError."""
        self.address = address
        self._path = address.removeprefix("unix:")
        self.listener = _listening(self._path, backlog)
        self._file = None if self._path.startswith("@") else file_identity(Path(self._path))

    def admits(self, connection: socket.socket) -> bool:
        """Return whether the client is our user or root; an abstract name has no permissions."""
        if not hasattr(socket, "SO_PEERCRED"):
            return True  # then the file's permissions have been checked by the system
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        uid = int.from_bytes(credentials[4:8], "little")
        return uid in (0, os.geteuid())

    def close(self) -> None:
        """Close the socket; remove its path if it is still ours."""
        self.listener.close()
        path = Path(self._path)
        if self._file is not None and file_identity(path) == self._file:
            path.unlink()


def unix_endpoint(address: str, backlog: int) -> UnixEndpoint:
    """Return a Unix socket that listens on ``address``; raises OSError."""
    return UnixEndpoint(address, backlog)


def reserve(listener: socket.socket) -> int | None:
    """Return a descriptor that can be given up later for a client; raises OSError."""
    return os.dup(listener.fileno())


def unix_client(address: str) -> tuple[socket.socket, str]:
    """Return a socket that can connect to ``address``, and by which name."""
    path = address.removeprefix("unix:")
    where = "\0" + path[1:] if path.startswith("@") else path
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), where


def _listening(path: str, backlog: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.setblocking(False)
    try:
        if path.startswith("@"):
            listener.bind("\0" + path[1:])
        else:
            _bind_privately(listener, path)
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def _bind_privately(listener: socket.socket, path: str) -> None:
    """Bind to ``path``, for its owner only from the first moment; replace a dead server's."""
    remove_stale_socket(Path(path))
    former = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(former)
