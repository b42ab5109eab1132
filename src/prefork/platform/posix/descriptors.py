"""Open files on their way to another process, attached to a message (unix(7), SCM_RIGHTS)."""

import socket
from array import array
from collections.abc import Sequence


def send(sock: socket.socket, data: bytes, fds: Sequence[int]) -> None:
    """Send ``data`` with descriptors attached, now or not at all; raises OSError.

    Not ``socket.send_fds``, which forgets its flags (CPython 3.11 to 3.13).
    """
    rights = array("i", fds)
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
    sock.sendmsg([data], ancillary, socket.MSG_DONTWAIT)


def receive(sock: socket.socket, size: int, flags: int = 0) -> tuple[bytes, list[int]]:
    """Receive up to ``size`` bytes and two descriptors, which no program we start inherits.

    Raises BlockingIOError with MSG_DONTWAIT in ``flags`` when there is nothing.
    """
    space = socket.CMSG_SPACE(2 * array("i").itemsize)
    data, ancillary, _, _ = sock.recvmsg(size, space, flags | socket.MSG_CMSG_CLOEXEC)
    fds = array("i")
    for level, kind, rights in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(rights[: len(rights) - len(rights) % fds.itemsize])
    return data, list(fds)
