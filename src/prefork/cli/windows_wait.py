"""Waits that Ctrl-C interrupts (Windows)."""

import contextlib
from collections.abc import Iterator

# Of all that waits for a handle it is this which Ctrl-C ends at once.
from multiprocessing.connection import wait

from prefork.platform.windows.api import Event
from prefork.platform.windows.system import opened_process


def pause(seconds: float) -> None:
    """Let ``seconds`` pass."""
    with Event.create() as never:
        wait([never.value], seconds)


@contextlib.contextmanager
def until_gone(pid: int, limit: float) -> Iterator[None]:
    """Leave the block only when the process ``pid`` is gone, or ``limit`` seconds after it."""
    try:
        process = opened_process(pid)
    except OSError:  # gone already, or another user's
        yield
        return
    with process:
        yield
        wait([process.value], limit)
