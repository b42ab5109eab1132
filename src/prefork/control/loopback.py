"""The loopback interface, for operators who know a token: where there are no Unix sockets."""

import errno
import socket
from pathlib import Path
from typing import Final

from prefork.control.token import Secret
from prefork.errors import ListenError
from prefork.sockets.addresses import Address, parse_address

HOST: Final = "127.0.0.1"  #: no name, which could mean anything, and no interface with neighbours


class LoopbackEndpoint:
    """Listens on 127.0.0.1, and keeps the file with the token while it does."""

    def __init__(self, address: str, path: Path | None, backlog: int) -> None:
        """Listen on ``address`` and write the token to ``path``; raises OSError."""
        if path is None:
            raise OSError(errno.EINVAL, "there is no place for the token of its operators")
        self.listener = _listening(_port(address), backlog)
        self.address = str(Address("tcp", host=HOST, port=self.listener.getsockname()[1]))
        self.secret = Secret.new(self.address)
        self._path = path
        # Only now: while the port is another server's, so may be the file.  A client that
        # connects before waits, for nothing has accepted it yet.
        try:
            self.secret.write(path)
        except OSError:
            self.listener.close()
            raise

    def admits(self, connection: socket.socket) -> bool:  # noqa: ARG002
        """Let every client send a first line; with the token in it, it may continue."""
        return True

    def close(self) -> None:
        """Close the socket, and remove the file."""
        self.secret.remove(self._path)
        self.listener.close()


def _port(text: str) -> int:
    try:
        address = parse_address(text)
    except ListenError as error:
        raise OSError(errno.EINVAL, str(error)) from error
    if address.scheme != "tcp" or address.host != HOST:
        raise OSError(
            errno.EADDRNOTAVAIL,
            f"operators without a Unix socket are served on {HOST} only, as in tcp://{HOST}:0",
        )
    return address.port


def _listening(port: int, backlog: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setblocking(False)
    try:
        exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
        # On Windows another process could otherwise take the port beside us, and our clients;
        # SO_REUSEADDR would even ask for that.  Elsewhere that means a port in TIME_WAIT.
        option = socket.SO_REUSEADDR if exclusive is None else exclusive
        listener.setsockopt(socket.SOL_SOCKET, option, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it
        listener.bind((HOST, port))
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener
