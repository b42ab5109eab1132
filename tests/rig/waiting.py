"""Waiting for a condition, always with a limit."""

import select
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

Found = TypeVar("Found")

LIMIT = 15.0  #: seconds; far more than anything takes on a busy machine
_PAUSE = 0.01


def until(condition: Callable[[], Found], limit: float = LIMIT, what: str = "it") -> Found:
    """Return what ``condition`` returns as soon as that is true; fail after ``limit`` seconds."""
    end = monotonic() + limit
    while True:
        found = condition()
        if found:
            return found
        assert monotonic() < end, f"{what} did not come true within {limit:g} s"
        pause(_PAUSE)


def stays(condition: Callable[[], object], duration: float) -> bool:
    """Tell whether ``condition`` is true now and at every look during ``duration`` seconds."""
    end = monotonic() + duration
    while condition():
        if monotonic() >= end:
            return True
        pause(_PAUSE)
    return False


def pause(seconds: float) -> None:
    """Let the others work for a moment; never to wait for something."""
    select.select([], [], [], seconds)
