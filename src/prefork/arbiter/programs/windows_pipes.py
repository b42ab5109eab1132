"""Reports to the loop which pipes have something to read, for it waits for sockets (Windows)."""

import contextlib
import selectors
from collections import deque
from collections.abc import Callable

from prefork.platform.socket_pair import socket_pair
from prefork.platform.windows.pipes import Pipe


class PipeWatch:
    """For pipes what a selector is for sockets."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._readers: dict[Pipe, Callable[[], object]] = {}
        self._changed: deque[Pipe] = deque()  #: threads of the system's put them here
        self._wakeup, self._waker = socket_pair()
        self._wakeup.setblocking(False)
        self._waker.setblocking(False)
        self._selector = selector
        selector.register(self._wakeup, selectors.EVENT_READ, self._read_changed)

    def close(self) -> None:
        """Report nothing any more; to be called when all pipes are closed."""
        self._selector.unregister(self._wakeup)
        self._wakeup.close()
        self._waker.close()

    def note(self, pipe: Pipe) -> None:
        """Note that ``pipe`` has something new; from any thread."""
        self._changed.append(pipe)
        with contextlib.suppress(BlockingIOError):  # full: then the loop wakes anyway
            self._waker.send(b".")

    def register(self, pipe: Pipe, events: int, read: Callable[[], object], /) -> None:
        """Have the loop call ``read`` whenever ``pipe`` has something."""
        del events
        self._readers[pipe] = read
        self.note(pipe)  # it may have had something before, which is noted once only

    def unregister(self, pipe: Pipe, /) -> None:
        """Leave ``pipe`` alone; raises KeyError when it is."""
        del self._readers[pipe]

    def _read_changed(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wakeup.recv(4096)
        # What comes meanwhile is for the next turn.
        for pipe in dict.fromkeys(self._changed.popleft() for _ in range(len(self._changed))):
            if (read := self._readers.get(pipe)) is not None:
                read()
