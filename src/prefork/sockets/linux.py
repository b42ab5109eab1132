"""What of sockets is particular to Linux, beside what it has as a POSIX system."""

import socket
from collections.abc import Callable
from contextlib import suppress

from prefork.sockets.backlog import handshakes, queue_depths, tcp_queue, udp_queue
from prefork.sockets.posix import inode
from prefork.sockets.quiesce import (
    can_filter,
    open_to_datagrams,
    shut_to_connections,
    shut_to_datagrams,
)
from prefork.sockets.readable import is_readable

__all__ = ["arriving", "needs_opening", "queue_depths", "queued", "quiesce", "release"]


def queued(sock: socket.socket) -> int | None:
    """Return how many connections or datagrams wait at ``sock``; None if the kernel refuses.

    Of datagrams, the kernel reports the memory that they take: it is an estimate, and rather too
    low than too high, but 0 only if none waits.
    """
    is_datagram = sock.type == socket.SOCK_DGRAM
    is_internet = sock.family in (socket.AF_INET, socket.AF_INET6)
    if is_datagram:
        return udp_queue(sock) if is_internet else int(is_readable(sock))
    if is_internet:
        return tcp_queue(sock)
    queue = queue_depths().get(inode(sock))
    return None if queue is None else queue.depth


def arriving(sock: socket.socket) -> int | None:
    """Return the same, and if nothing waits how many handshakes are under way."""
    depth = queued(sock)
    is_tcp = sock.type == socket.SOCK_STREAM and sock.family != socket.AF_UNIX
    return handshakes(sock.getsockname()[1]) if is_tcp and not depth else depth


def needs_opening() -> bool:
    """Return whether a connection to a listener that was quiesced has to be opened."""
    return not can_filter()


def quiesce(sock: socket.socket, *, ours: bool, remove_path: Callable[[], bool]) -> bool:
    """Let nothing new get into ``sock``; return whether that succeeded.

    TCP: the segments that would open a connection are dropped, so their clients ask again and are
    refused once the socket is closed.  Unix: shutting down the reading side refuses new clients at
    once, and what is queued stays.  Datagrams: all are dropped, and the path of a Unix socket
    goes, so that senders get an error.
    """
    if sock.type == socket.SOCK_DGRAM:
        shut_to_datagrams(sock)
        remove_path()
        return True
    if sock.family != socket.AF_UNIX:
        return shut_to_connections(sock, by_hop_limit=ours)
    if ours:
        sock.shutdown(socket.SHUT_RD)
        return True
    return remove_path()  # who knows the name by now can still connect


def release(sock: socket.socket) -> None:
    """Undo ``quiesce`` of a socket for datagrams.

    Otherwise the kernel would continue to drop what connected Unix clients send, and report no
    end to them, as long as they hold the socket's other end.
    """
    if sock.type == socket.SOCK_DGRAM:
        with suppress(OSError):  # it was not quiesced
            open_to_datagrams(sock)
