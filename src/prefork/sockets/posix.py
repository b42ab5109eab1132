"""What of sockets is particular to POSIX systems: see ``system`` for who uses it."""

import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from prefork.sockets.queue import Queue

#: Options of ip(7) and ipv6(7): with each datagram comes the address it was sent to.
IP_PKTINFO: Final = 8
_PKTINFO: Final = {
    socket.AF_INET: (socket.IPPROTO_IP, IP_PKTINFO),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO),
}
_NAMED: Final = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)

copy_of, close_number = os.dup, os.close


def bind_local(path: str, kind: socket.SocketKind) -> socket.socket:
    """Return a Unix socket bound to ``path``, or to the abstract name after ``@``.

    Raises OSError.
    """
    sock = socket.socket(socket.AF_UNIX, kind)
    try:
        if path.startswith("@"):
            sock.bind("\0" + path[1:])
        else:
            remove_stale_socket(Path(path))
            sock.bind(path)
    except BaseException:
        sock.close()
        raise
    return sock


def remove_stale_socket(path: Path) -> None:
    """Remove the socket that a dead server has left at ``path``, whatever it was for.

    Raises OSError when something else is there: a server that lives, or no socket at all.
    """
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "a file that is no socket is in the way")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A server whose backlog is full makes a non-blocking connect fail with EAGAIN, one for
        # datagrams EPROTOTYPE: it lives.
        probe.setblocking(False)
        if probe.connect_ex(str(path)) != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    path.unlink()


def claim(sock: socket.socket) -> None:
    """Let ``sock`` have an address at which connections of a former server still linger."""
    if sock.type == socket.SOCK_STREAM:
        # Not for datagrams: two servers could bind one address, and the last would get all.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def report_destinations(sock: socket.socket) -> None:
    """Have each datagram come with the address it was sent to."""
    level, option = _PKTINFO[sock.family]
    sock.setsockopt(level, option, 1)


def can_be_named(sock: socket.socket) -> bool:
    """Return whether there is a form of address for what ``sock`` is bound to."""
    return sock.family in _NAMED


def inode(sock: socket.socket) -> int:
    """Return the socket's number in the kernel's tables."""
    return os.fstat(sock.fileno()).st_ino


def queued(sock: socket.socket) -> int | None:
    """Return None: only Linux reports how much waits at ``sock``."""
    del sock
    return None


def arriving(sock: socket.socket) -> int | None:
    """Return None, as above."""
    return queued(sock)


def queue_depths() -> dict[int, Queue]:
    """Return nothing: only Linux reports them."""
    return {}


def needs_opening() -> bool:
    """Return False: a connection inherits nothing from a listener that was quiesced."""
    return False


def quiesce(sock: socket.socket, *, ours: bool, remove_path: Callable[[], bool]) -> bool:
    """Do nothing, and return False: only Linux has a way."""
    del sock, ours, remove_path
    return False


def release(sock: socket.socket) -> None:
    """Do nothing: nothing was quiesced."""
