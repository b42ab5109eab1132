"""What of sockets is particular to Windows: see ``system`` for who uses it."""

import _socket
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from prefork.sockets.queue import Queue
from prefork.sockets.readable import is_readable

_SO_PAUSE_ACCEPT: Final = 0x3003


def copy_of(handle: int) -> int:
    """Return a duplicate of the inherited ``handle``; raises OSError when it is no socket."""
    return _socket.dup(handle)  # a socket's own way: WSADuplicateSocket


def close_number(handle: int) -> None:
    """Close ``handle``, as far as the system lets us."""
    with suppress(OSError):  # Wine does not close a socket that came by inheritance
        _socket.close(handle)


def bind_local(path: str, kind: socket.SocketKind) -> socket.socket:
    """Fail: the settings refuse such addresses here."""
    raise AssertionError(f"a Unix socket of the kind {kind} at {path} is asked for on Windows")


def claim(sock: socket.socket) -> None:
    """See to it that no other server binds the same address."""
    # Here SO_REUSEADDR would let two servers bind one address; which gets a client is undefined.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)


def report_destinations(sock: socket.socket) -> None:
    """Do nothing: Python has no way here to read what each datagram was sent to."""


def can_be_named(sock: socket.socket) -> bool:
    """Return whether there is a form of address for what ``sock`` is bound to."""
    del sock
    return True


def inode(sock: socket.socket) -> int:
    """Return 0: sockets have no numbers of their own here."""
    del sock
    return 0


def queued(sock: socket.socket) -> int | None:
    """Return 1 if anything waits at ``sock``: the system does not report how much."""
    return int(is_readable(sock))


def arriving(sock: socket.socket) -> int | None:
    """Return the same."""
    return queued(sock)


def queue_depths() -> dict[int, Queue]:
    """Return nothing: only Linux reports them."""
    return {}


def needs_opening() -> bool:
    """Return False: a connection inherits nothing from a listener that was quiesced."""
    return False


def quiesce(sock: socket.socket, *, ours: bool, remove_path: Callable[[], bool]) -> bool:
    """Refuse connections; of datagrams nothing can be refused.  Returns whether that succeeded."""
    del ours, remove_path
    return sock.type == socket.SOCK_STREAM and refuse_connections(sock)


def release(sock: socket.socket) -> None:
    """Do nothing: what was quiesced ends with its last handle."""


def refuse_connections(listener: socket.socket) -> bool:
    """Have Windows refuse connections from now on; return whether it does (SO_PAUSE_ACCEPT).

    Where it does not know of that, as Wine 8, only one connection can wait there from now on.
    """
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_PAUSE_ACCEPT, 1)
    except OSError:
        listener.listen(0)
        return False
    return True


def is_refusing(listener: socket.socket) -> bool:
    """Return whether ``refuse_connections`` has succeeded, in any process."""
    try:
        return bool(listener.getsockopt(socket.SOL_SOCKET, _SO_PAUSE_ACCEPT))
    except OSError:
        return False
