"""Writing log lines on POSIX systems, as far as the descriptor takes them without blocking."""

import os
import select
import stat
from pathlib import Path
from typing import Final


class Writer:
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
        """Return whether a line can be given now: a writable pipe has room for a page."""
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
    """Open the pipe behind ``fd`` anew, so that it is non-blocking for us only.

    The flag belongs to the open file, which we share with the process that gave it to us.
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
