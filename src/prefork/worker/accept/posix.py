"""The gates of POSIX systems: blocking in accept, exclusive in epoll, under a mutex.

Which of them a worker has is chosen by ``core.limits.accept_mode``, and made by
``worker.posix_resources``.  Event loops have a gate of their own, in ``posix_loop``.
"""

import contextlib
import errno
import fcntl
import os
import select
import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final

from prefork.worker.accept.gate import EXHAUSTED_PAUSE, Accepted, complain
from prefork.worker.posix_channel import PosixChannel

#: The system has no descriptor or memory for a connection now; it may have some later.
EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class BlockingGate:
    """Blocks in accept(2): one system call a connection, first come, first served.

    The kernel queues the waiting workers and wakes exactly one, the one that has waited
    longest.  How such a worker leaves: see ``worker.posix_channel``.  For one listener.
    """

    def __init__(self, listener: socket.socket, channel: PosixChannel) -> None:
        self.listener = listener
        self.channel = channel
        channel.close_when_leaving(listener)

    def accept(self) -> Accepted | None:
        """Wait for a connection, or for the time to leave."""
        while not self.channel.leaving:
            try:
                return self.listener.accept()
            except OSError as error:
                _after_failure(error, self.channel)
        return None


class ExclusiveGate:
    """Waits in epoll with EPOLLEXCLUSIVE, registered anew after each accept.

    EPOLLEXCLUSIVE wakes one of the waiting workers, always the one registered first; to
    register anew puts a worker at the queue's end, which makes it first come, first served
    (epoll_ctl(2); measured, see the decision record on accepting).  For any number of listeners.

    A connection wakes nobody else, so a worker that was woken for one takes it, even when it is
    told to leave at the same moment: listeners come before the channel, and stay open.
    """

    def __init__(self, listeners: Sequence[socket.socket], channel: PosixChannel) -> None:
        self.listeners = {listener.fileno(): listener for listener in listeners}
        self.channel = channel
        self._epoll = select.epoll()
        channel.register(self._epoll)
        for fd in self.listeners:
            self._register(fd)
        self._sole = listeners[0] if len(listeners) == 1 else None

    def _register(self, fd: int) -> None:
        self._epoll.register(fd, select.EPOLLIN | select.EPOLLEXCLUSIVE)

    def accept(self) -> Accepted | None:
        """Wait for a connection, or for the time to leave."""
        while not self.channel.leaving:
            # Under load somebody waits already, and the three calls around epoll are saved.
            # With several listeners, that one could starve the others.
            if self._sole is not None:
                accepted = _accept_if_any(self._sole, self.channel)
                if accepted is not None:
                    return accepted
            ready = [fd for fd, _ in self._epoll.poll() if fd in self.listeners]
            for fd in ready:
                if (accepted := _accept_if_any(self.listeners[fd], self.channel)) is not None:
                    self._rejoin(fd)
                    return accepted
            self.channel.read()
        return None

    def _rejoin(self, fd: int) -> None:
        # The arbiter's death may have put a dead socket under this number meanwhile.
        with contextlib.suppress(OSError):
            self._epoll.unregister(fd)
            self._register(fd)


class MutexGate:
    """Waits under an accept mutex that all workers of the pool know.

    Whoever holds it waits in poll for the listeners and the channel together; the kernel frees
    it when its holder dies.  For systems and sockets where the kernel wakes everybody.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        channel: PosixChannel,
        mutex: AbstractContextManager[object],
    ) -> None:
        self.listeners = {listener.fileno(): listener for listener in listeners}
        self.channel = channel
        self.mutex = mutex
        self._poll = select.poll()
        channel.register(self._poll)
        for fd in self.listeners:
            self._poll.register(fd, select.POLLIN)

    def accept(self) -> Accepted | None:
        """Wait for our turn and a connection, or for the time to leave."""
        with self.mutex:
            while not self.channel.leaving:
                for fd, _ in self._poll.poll():
                    if fd not in self.listeners:
                        self.channel.read()
                    elif (accepted := _accept_if_any(self.listeners[fd], self.channel)) is not None:
                        return accepted
        return None


class FileMutex(AbstractContextManager["FileMutex"]):
    """An accept mutex over a file: flock(2), or record locks of fcntl(2).

    Both are released by the kernel when their holder dies, however it dies; a semaphore, such as
    ``multiprocessing.Lock``, would then block the pool for ever.
    """

    def __init__(self, fd: int, method: str) -> None:
        # flock belongs to the open file, which forked workers share: each needs one of its own.
        self._fd = os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)
        self._lock = fcntl.flock if method == "flock" else fcntl.lockf

    def __enter__(self) -> "FileMutex":
        self._lock(self._fd, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        self._lock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file, and so of the lock if nobody else has it open."""
        os.close(self._fd)

    def release_when_leaving(self, channel: PosixChannel) -> None:
        """Stop waiting for our turn when it is time to leave.

        What is then under our descriptor is no file that another worker locks, so the lock
        that is repeated after the signal is had, or refused, at once.
        """
        self._free = os.memfd_create("free")
        channel.replace_when_leaving(self._fd, self._free)


def _accept_if_any(listener: socket.socket, channel: PosixChannel) -> Accepted | None:
    try:
        return listener.accept()
    except BlockingIOError:
        return None  # a peer was faster
    except OSError as error:
        _after_failure(error, channel)
        return None


def _after_failure(error: OSError, channel: PosixChannel) -> None:
    """Wait until accepting can go on after ``error``; return at once when it is time to leave.

    What remains is a connection that died while it was queued, whose error accept(2) reports
    as its own: nothing is to be done about it.
    """
    if channel.leaving:
        return
    if error.errno == errno.EINVAL:
        # The listener was shut down by a stop that is under way; the arbiter's order follows.
        channel.wait()
    elif error.errno in (errno.EBADF, errno.ENOTSOCK, errno.EOPNOTSUPP, errno.EFAULT):
        raise error
    elif error.errno in EXHAUSTED:
        complain(error.strerror or str(error))
        channel.wait(EXHAUSTED_PAUSE)
