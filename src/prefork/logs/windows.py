"""Writing log lines on Windows, where no pipe reports whether it is full."""

import contextlib
import os
import stat
import threading
import time
from collections import deque
from typing import Final

#: Lines that wait for the thread; Log keeps as many more.
_MOST_WAITING: Final = 1000
#: Seconds that a line takes at most, unless its reader stalls.
_USUAL: Final = 0.01


class Writer:
    """Writes to a descriptor from a thread of its own: no pipe of Windows reports that it is full.

    A console or a file takes what it is given, and is written to at once.
    """

    longest: int | None = None  #: bytes that are written in one piece; None is any number

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waiting: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._writer: threading.Thread | None = None
        self._broken: OSError | None = None
        self._stalled = False  #: the reader is slow: no writer waits for it any more

    @property
    def waiting(self) -> int:
        """How many lines have been taken and not yet been written."""
        return len(self._waiting)

    def takes(self) -> bool:
        """Return whether a line can be given now."""
        return len(self._waiting) < _MOST_WAITING

    def write(self, line: bytes) -> None:
        """Take ``line``; raises OSError when there is no reader any more."""
        if not _is_pipe(self._fd):
            os.write(self._fd, line)
            return
        if self._writer is None:
            self._writer = threading.Thread(target=self._write_on, name="log", daemon=True)
            self._writer.start()
        with self._changed:
            broken, self._broken = self._broken, None
            if broken is not None:
                raise OSError(broken.errno, broken.strerror)
            self._waiting.append(line)
            self._changed.notify_all()
            # As a rule the line is out when we are back, whatever happens to us then.
            if not self._stalled:
                done = self._changed.wait_for(lambda: not self._waiting, _USUAL)
                self._stalled = not done

    def wait(self, limit: float) -> None:
        """Return when all is written, after ``limit`` seconds at the latest."""
        end = time.monotonic() + limit
        with self._changed:
            while self._waiting and (patience := end - time.monotonic()) > 0:
                self._changed.wait(patience)

    def reopen(self) -> None:
        """Nothing can be moved away from under an open log on this system."""

    def write_to(self, fd: int) -> None:
        """Write to the file ``fd``, which is taken over, from now on."""
        os.dup2(fd, self._fd)
        os.close(fd)

    def _write_on(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                line = self._waiting[0]
            try:
                os.write(self._fd, line)
            except OSError as error:
                self._broken = error
            with self._changed:
                self._waiting.popleft()
                self._stalled = self._stalled and bool(self._waiting)
                self._changed.notify_all()


def _is_pipe(fd: int) -> bool:
    with contextlib.suppress(OSError):
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    return False
