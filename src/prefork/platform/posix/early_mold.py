"""A mold that waits before its arbiter is ready: how it is adopted, and by which descriptors.

A child that the arbiter starts inherits its descriptors.  One that was forked before they were
opened gets them over its channel, and puts each under the number that it has in the arbiter.
"""

import fcntl
import os
import socket
from array import array
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from prefork.platform.posix import descriptors

#: More are not sent in one message; SCM_MAX_FD is 253.
MOST_DESCRIPTORS: Final = 64
#: Below the usual limits of open files; what has been opened before may stand anywhere.
HIGHEST_NUMBER: Final = 512

_MOST_BYTES: Final = 4096


class Adoption(msgspec.Struct, frozen=True):
    """What a mold that waits is sent; the descriptors come attached."""

    words: tuple[str, ...]  #: the command line of a mold
    numbers: tuple[int, ...]  #: of the descriptors, in their order


class EarlyMold(Struct, frozen=True):
    """A child of this process that waits to be adopted, and ends when its channel does."""

    pid: int
    channel: socket.socket  #: our end; does not block

    def adopt(self, words: Sequence[str], numbers: Sequence[int]) -> bool:
        """Send what a mold gets on its command line and inherits; return whether that was done."""
        if len(numbers) > MOST_DESCRIPTORS or max(numbers) > HIGHEST_NUMBER:
            return False
        data = msgspec.json.encode(Adoption(tuple(words), tuple(numbers)))
        try:
            descriptors.send(self.channel, data, numbers)
        except OSError:
            return False  # it has died
        return True


def adopted(channel: socket.socket) -> tuple[list[str], set[int]] | None:
    """Wait to be adopted; return the command line of a mold, and the numbers it names.

    None when the channel ended instead: no mold is needed.
    """
    space = socket.CMSG_SPACE(MOST_DESCRIPTORS * array("i").itemsize)
    data, ancillary, _, _ = channel.recvmsg(_MOST_BYTES, space, socket.MSG_CMSG_CLOEXEC)
    if not data:
        return None
    message = msgspec.json.decode(data, type=Adoption)
    received = array("i")
    for _, _, rights in ancillary:
        received.frombytes(rights)
    # First all out of the way: one may stand where another one has to go.
    free = max(message.numbers) + 1
    moved = [_moved(fd, free) for fd in (*received, channel.detach())]
    ours = moved.pop()
    for fd, number in zip(moved, message.numbers, strict=True):
        os.dup2(fd, number, inheritable=False)
        os.close(fd)
    return [*message.words, "--channel", str(ours)], {*message.numbers, ours}


def _moved(fd: int, lowest: int) -> int:
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)
    os.close(fd)
    return moved
