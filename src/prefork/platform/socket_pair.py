"""A pair of connected sockets, where the system has none without an address: on Windows."""

import socket
from contextlib import ExitStack
from typing import Final

#: Seconds that the connection to ourselves may take.
PATIENCE: Final = 5.0


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Return two sockets of ours, connected over the loopback interface; raises OSError.

    Any process on this machine may connect to the port while it is open, even before we do: so only
    the connection whose other end is ours is kept.  (``socket.socketpair`` has looked at that
    only since CPython 3.11.10, 3.12.5 and 3.13.)
    """
    with ExitStack() as opened, socket.socket() as listener:
        if exclusive := getattr(socket, "SO_EXCLUSIVEADDRUSE", None):
            # Otherwise another process could bind the same port beside us (Windows).
            listener.setsockopt(socket.SOL_SOCKET, exclusive, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        ours = opened.enter_context(socket.socket())
        ours.settimeout(PATIENCE)
        ours.connect(listener.getsockname())
        theirs = opened.enter_context(_accepted(listener, ours.getsockname()))
        for each in (ours, theirs):
            each.setblocking(True)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.pop_all()
    return ours, theirs


def _accepted(listener: socket.socket, expected: object) -> socket.socket:
    """Return the connection of the client at the address ``expected``, and drop all others."""
    listener.settimeout(PATIENCE)
    while True:
        connection, address = listener.accept()
        if address == expected:
            return connection
        connection.close()
