"""Where log lines leave a process, without ever waiting for who reads them.

Each system has a class ``Outlet`` of its own.
"""

import contextlib
import os
import select
import stat
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Final

if sys.platform == "win32":
    #: Lines that wait for the thread; Log keeps as many more.
    _MOST_WAITING: Final = 1000
    #: Seconds that a line takes at most, unless its reader stalls.
    _USUAL: Final = 0.01

    class Outlet:
        """Writes to a descriptor from a thread of its own: no pipe of Windows tells if it is full.

        A console or a file takes what it is given, and is written to at once.
        """

        longest: int | None = None  #: bytes that are written in one piece; None is any number

        def __init__(self, fd: int) -> None:
            self._fd = fd
            self._waiting: deque[bytes] = deque()
            self._changed = threading.Condition()
            self._writer: threading.Thread | None = None
            self._broken: OSError | None = None
            self._stalled = False  #: the reader is slow: nobody waits for it any more

        @property
        def waiting(self) -> int:
            """How many lines have been taken and not yet been written."""
            return len(self._waiting)

        def takes(self) -> bool:
            """Tell whether a line can be given now."""
            return len(self._waiting) < _MOST_WAITING

        def write(self, line: bytes) -> None:
            """Take ``line``; raises OSError when nobody reads any more."""
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
else:

    class Outlet:
        """Writes to a descriptor when it takes something."""

        waiting: Final = 0

        def __init__(self, fd: int) -> None:
            self._fd = fd
            self._path = _regular_file_behind(fd)
            self._pipe = _own_end_of_pipe(fd)
            self._poll = select.poll()
            self._poll.register(fd, select.POLLOUT)
            self.longest = None if self._pipe is None else select.PIPE_BUF

        def takes(self) -> bool:
            """Tell whether a line can be given now: a writable pipe has room for a page."""
            return bool(self._poll.poll(0))

        def write(self, line: bytes) -> None:
            """Write ``line``; raises OSError, BlockingIOError when there is no room any more."""
            os.write(self._fd if self._pipe is None else self._pipe, line)

        def wait(self, limit: float) -> None:
            """Return when there is room, after ``limit`` seconds at the latest."""
            self._poll.poll(limit * 1000)

        def reopen(self) -> None:
            """Open the file anew, for a rotation that moved it; pipes and terminals stay.

            Raises OSError with the file's name.
            """
            if self._path is not None:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                self.write_to(os.open(self._path, flags, 0o644))

        def write_to(self, fd: int) -> None:
            """Write to the file ``fd``, which is taken over, from now on."""
            os.dup2(fd, self._fd)
            os.close(fd)

    def _own_end_of_pipe(fd: int) -> int | None:
        """Open the pipe behind ``fd`` anew, so that it is non-blocking for nobody but us.

        The flag belongs to the open file, which we share with whoever gave it to us.
        """
        try:
            if not stat.S_ISFIFO(os.fstat(fd).st_mode):
                return None
            return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None

    def _regular_file_behind(fd: int) -> str | None:
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            return str(Path(f"/proc/self/fd/{fd}").readlink())
        except OSError:
            return None
