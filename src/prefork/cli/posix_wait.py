"""Waits that Ctrl-C interrupts (POSIX)."""

import contextlib
import os
import select
from collections.abc import Iterator


def pause(seconds: float) -> None:
    """Let ``seconds`` pass."""
    select.select([], [], [], seconds)


@contextlib.contextmanager
def until_gone(pid: int, limit: float) -> Iterator[None]:
    """Leave the block only when ``pid``, alive at its beginning, is gone, or after ``limit``.

    At the end of the connection all is closed but the interpreter itself.
    """
    try:
        process = os.pidfd_open(pid)
    except (AttributeError, OSError):  # another system, or another namespace
        yield
        return
    try:
        yield
        poll = select.poll()
        poll.register(process, select.POLLIN)
        poll.poll(limit * 1000)
    finally:
        os.close(process)
