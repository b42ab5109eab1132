"""What a program that is not ours gets: a socket for its notifications, pipes for its output."""

import contextlib
import os
import socket
import struct
from array import array
from dataclasses import dataclass
from typing import Final

#: Bytes of a notification; systemd ignores longer ones, too.
MOST_BYTES: Final = 4096

_CREDENTIALS: Final = struct.Struct("iII")  # struct ucred: pid, uid, gid
_MOST_DESCRIPTORS: Final = 253  # SCM_MAX_FD
_SPACE: Final = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(4 * _MOST_DESCRIPTORS)


@dataclass(frozen=True, slots=True)
class Notification:
    """What came in one datagram."""

    text: bytes
    pid: int | None  #: of the sender, from the kernel
    sender: int | None  #: user id, from the kernel
    whole: bool  #: not truncated


class NotifySocket:
    """Where a program reports its state (sd_notify(3)).

    Its name is abstract: so a program of any user can reach it, and nothing is left in a
    directory.  Other users can reach it as well, which is why the kernel names the sender of each
    notification.
    """

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        name = f"prefork-{os.urandom(12).hex()}"
        self.socket.bind(f"\0{name}")
        self.address = f"@{name}"

    def receive(self) -> Notification | None:
        """Return the next notification; None if there is none."""
        try:
            text, ancillary, flags, _ = self.socket.recvmsg(
                MOST_BYTES, _SPACE, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return None
        pid = sender = None
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                _close(data)
            elif level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                pid, sender, _ = _CREDENTIALS.unpack(data)
        return Notification(text, pid, sender, not flags & socket.MSG_TRUNC)

    def close(self) -> None:
        """Close the socket; its name ends with it."""
        self.socket.close()


def _close(rights: bytes) -> None:
    """Close attached descriptors; a program that waits for that, as with BARRIER=1, continues."""
    fds = array("i")
    fds.frombytes(rights[: len(rights) - len(rights) % fds.itemsize])
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)


class Pipe:
    """The reading end of a pipe, which does not block; a selector can wait for it."""

    def __init__(self, fd: int, at_once: int) -> None:
        self._fd = fd
        self._at_once = at_once

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def read(self) -> bytes:
        """Return what has arrived, not all if it is much; nothing once no process writes any more.

        Raises BlockingIOError if nothing has arrived since.
        """
        return os.read(self._fd, self._at_once)

    def close(self) -> None:
        """Close our end; a process that still writes to the other gets EPIPE."""
        os.close(self._fd)


def output_pipe(user: int, at_once: int) -> tuple[Pipe, int]:
    """Return a pipe, and the descriptor of its writing end, at which a program waits for room.

    Each read takes ``at_once`` bytes at most.  The pipe belongs to ``user``, who may then open
    ``/dev/stdout`` anew.
    """
    reader, writer = os.pipe()
    os.set_blocking(reader, False)  # the flag is this end's own
    with contextlib.suppress(PermissionError):  # it is ours, and ours alone can be the user
        os.fchown(writer, user, -1)
    return Pipe(reader, at_once), writer
