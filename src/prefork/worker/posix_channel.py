"""The worker's end of its channel on POSIX systems: a signal makes the worker read it."""

import contextlib
import os
import select
import signal
import socket
from collections.abc import Callable, Sequence
from types import FrameType

from prefork.ipc import messages
from prefork.ipc.layout import Row
from prefork.logs import log
from prefork.platform.posix.descriptors import receive
from prefork.platform.posix.signals import NUDGE


class PosixChannel:
    """Reads the arbiter's bytes: DRAIN, or the end of the stream when the arbiter is gone.

    How a worker that blocks in accept(2) leaves without a race: a signal makes it look at the
    channel, and when it is to leave, a socket that does not listen is duplicated over its
    listener.  The interrupted accept is repeated by Python and fails with EINVAL; one that has
    just succeeded keeps its connection, and the next one fails.  No exception is ever raised
    between accept's return and the moment the connection is owned.  A signal that comes just
    before the system call does not interrupt it: the arbiter repeats it until the row shows that
    we are leaving.
    """

    def __init__(self, sock: socket.socket, row: Row) -> None:
        self.socket = sock
        self.leaving = False  #: take no more
        self.orphaned = False  #: the arbiter is gone
        self._row = row
        self._dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._when_leaving: list[tuple[int, int]] = []
        self._when_orphaned: list[tuple[int, int]] = []
        self._then: Callable[[], None] = _nothing
        self._before_orphaned: Callable[[], None] = _nothing
        self._when_nudged: Callable[[], None] = _nothing
        self._leave_reader, self._leave_writer = os.pipe()

    def read_on_signal(self) -> None:
        """Look at the channel whenever the arbiter, or its death, sends NUDGE."""
        signal.signal(NUDGE, self._on_nudge)
        self.read()

    def register(self, poll: "select.poll | select.epoll") -> None:
        """Have ``poll`` wake up when there is something to read, or when it is time to leave.

        The signal's handler may read it just before ``poll`` begins to wait, and then there is
        nothing left to read: so the order to leave also fills a pipe, which is never emptied.
        """
        poll.register(self.socket.fileno(), select.POLLIN)
        poll.register(self._leave_reader, select.POLLIN)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What an event loop has to watch, as ``register`` has a poll do it; see ``read``.

        What has been read for good is not among it: it would wake the loop for ever.
        """
        if self.orphaned:
            return ()
        return (
            (self.socket.fileno(),) if self.leaving else (self.socket.fileno(), self._leave_reader)
        )

    def call(self, *, when_nudged: Callable[[], None], before_orphaned: Callable[[], None]) -> None:
        """Have these called from the signal's handler: after each NUDGE, for a peer may have
        sent it, and before the listeners are closed.
        """
        self._when_nudged, self._before_orphaned = when_nudged, before_orphaned

    def forget_calls(self) -> None:
        """Take the last ``call`` back."""
        self._when_nudged = self._before_orphaned = _nothing

    def close(self) -> None:
        """Close everything; for processes that are none of the arbiter's."""
        self.socket.close()
        self._dead.close()
        os.close(self._leave_reader)
        os.close(self._leave_writer)

    def close_when_leaving(self, listener: socket.socket) -> None:
        """Have ``listener`` accept nothing more from the moment this worker is to leave."""
        self.replace_when_leaving(listener.fileno(), self._dead.fileno())

    def close_when_orphaned(
        self, listeners: Sequence[socket.socket], then: Callable[[], None]
    ) -> None:
        """Close ``listeners`` when the arbiter dies, so that nothing keeps the port."""
        self._when_orphaned += [(each.fileno(), self._dead.fileno()) for each in listeners]
        self._then = then

    def replace_when_leaving(self, fd: int, replacement: int) -> None:
        """Put a duplicate of ``replacement`` under the number ``fd`` when it is time to leave."""
        self._when_leaving.append((fd, replacement))
        self._replace()

    def wait(self, limit: float | None = None) -> None:
        """Wait until the arbiter sends something, or for ``limit`` seconds."""
        poll = select.poll()
        self.register(poll)
        poll.poll(None if limit is None else limit * 1000)
        self.read()

    def read(self) -> None:
        """Read what the arbiter has sent.  Idempotent; called at any time in the main thread."""
        if self.orphaned:
            return
        while not self.orphaned:
            try:
                data, fds = receive(self.socket, 64, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data, fds = b"", []
            for fd in fds:
                log.current().write_to(fd)
            if not data or messages.DRAIN in data:
                if not self.leaving:
                    os.write(self._leave_writer, b".")
                self.leaving = True
                self.orphaned = not data
                self._replace()
                self._row.leaving = 1
        self._then()

    def send(self, message: messages.Message) -> None:
        """Send ``message`` to the arbiter; lost when there is none any more."""
        with contextlib.suppress(OSError):
            self.socket.sendall(messages.encode(message))

    def finish(self) -> None:
        """Send no more."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def _on_nudge(self, signum: int, frame: FrameType | None) -> None:
        del signum, frame
        self.read()
        self._when_nudged()

    def _replace(self) -> None:
        due = self._when_leaving if self.leaving else []
        if self.orphaned:
            self._before_orphaned()
            due = due + self._when_orphaned
        for fd, replacement in due:
            os.dup2(replacement, fd, inheritable=False)


def _nothing() -> None:
    """Be called before anything is to be done about the arbiter's death."""
