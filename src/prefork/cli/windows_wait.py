"""Waits that Ctrl-C interrupts (Windows)."""

import contextlib
from collections.abc import Iterator
from ctypes import wintypes

# Of all that waits for a handle it is this which Ctrl-C ends at once.
from multiprocessing.connection import wait
from typing import Final

from prefork.platform.windows.api import Event, Handle, checked, function

_SYNCHRONIZE: Final = 0x100000
_OpenProcess = function(
    "OpenProcess", wintypes.HANDLE, wintypes.DWORD, wintypes.BOOL, wintypes.DWORD
)


def pause(seconds: float) -> None:
    """Let ``seconds`` pass."""
    with Event.create() as never:
        wait([never.value], seconds)


@contextlib.contextmanager
def until_gone(pid: int, limit: float) -> Iterator[None]:
    """Leave the block only when the process ``pid`` is gone, or ``limit`` seconds after it."""
    try:
        process = Handle(checked(_OpenProcess(_SYNCHRONIZE, False, pid)))
    except OSError:  # gone already, or another user's
        yield
        return
    with process:
        yield
        wait([process.value], limit)
