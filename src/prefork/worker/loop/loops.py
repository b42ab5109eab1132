"""Event loops whose turns the arbiter can see, and whose epoll lets listeners be shared well.

On Windows: its own kind, asyncio's ProactorEventLoop, or one that waits in select().

A loop is stuck when a turn takes longer than ``timeout``.  Whether it goes round, only the loop
itself can say: a thread would go on saying so while the loop is blocked.
"""

import asyncio
import importlib
import os
import select
import selectors
import sys
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from prefork.errors import HandlerError
from prefork.ipc.layout import Row
from prefork.settings import Settings
from prefork.settings.platforms import MOST_SELECTED

#: Beats of a loop that cannot tell its turns, in each ``timeout``.
BEATS: Final = 4

_TURN_SINCE: Final = Row.turn_since.index
_HAS_EPOLL: Final = hasattr(select, "epoll")


class TurnSelector(selectors.DefaultSelector):
    """A selector that enters in the row when the loop's present turn began; 0 while it sleeps."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        self._clock = row.clock

    def select(self, timeout: float | None = None) -> Any:
        """Wait for events as any selector does."""
        if timeout is None or timeout > 0:
            self._clock[_TURN_SINCE] = 0.0
        events = super().select(timeout)
        self._clock[_TURN_SINCE] = monotonic()
        return events


class TurnLoop(asyncio.SelectorEventLoop):
    """asyncio's loop, with a selector that tells its turns."""

    def __init__(self, row: Row) -> None:
        self.turns = TurnSelector(row)
        super().__init__(self.turns)


if sys.platform == "win32":

    class TurnProactor(asyncio.IocpProactor):
        """Windows' completion port that enters in the row when the present turn began."""

        def __init__(self, row: Row) -> None:
            super().__init__()
            self._clock = row.clock

        def select(self, timeout: float | None = None) -> Any:
            """Wait for what is completed."""
            if timeout is None or timeout > 0:
                self._clock[_TURN_SINCE] = 0.0
            completed = super().select(timeout)  # type: ignore[arg-type]  # seconds, also parts
            self._clock[_TURN_SINCE] = monotonic()
            return completed


def loop_factory(settings: Settings, row: Row) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the loop: uvloop's where it is installed, unless another is asked for.

    Raises HandlerError when the one that is asked for cannot be had.
    """
    uvloop = check_loop(settings)
    if sys.platform == "win32" and settings.loop != "selector":
        return lambda: asyncio.ProactorEventLoop(TurnProactor(row))
    if uvloop is not None:
        return lambda: _beating(uvloop.new_event_loop(), row, settings.timeout)
    return lambda: TurnLoop(row)


def check_loop(settings: Settings) -> Any:
    """Raise HandlerError unless the loop that ``settings`` say can be had, and hold so many.

    Returns the module uvloop where it is the one.
    """
    uvloop = load_uvloop(settings.loop)
    if settings.loop == "selector" and settings.concurrency > MOST_SELECTED:
        raise HandlerError(
            f"loop = selector holds at most {MOST_SELECTED} connections, fewer than concurrency = "
            f"{settings.concurrency}; loop = proactor holds any number"
        )
    return uvloop


def load_uvloop(asked: str) -> Any:
    """Return the module uvloop, or None where another loop is ``asked`` for, or it is not there.

    Raises HandlerError when nothing else will do, or when the other is not of this system.
    """
    if sys.platform == "win32":
        if asked == "uvloop":
            raise HandlerError("loop = uvloop cannot be had: there is none for Windows; say auto")
    elif asked in ("proactor", "selector"):
        raise HandlerError(f"loop = {asked} is one of Windows; here are asyncio and uvloop")
    elif asked != "asyncio":
        return _imported_uvloop(asked)
    return None


def _imported_uvloop(asked: str) -> Any:
    try:
        return importlib.import_module("uvloop")
    except ImportError as error:
        if asked == "auto":
            return None
        raise HandlerError(
            f"loop = uvloop cannot be had: {error}; pip install 'prefork[uvloop]' installs it"
        ) from None


def _beating(
    loop: asyncio.AbstractEventLoop, row: Row, timeout: float
) -> asyncio.AbstractEventLoop:
    """Have ``loop``, into whose turns nobody can look, say now and then that it goes round.

    The row holds when the next beat is due: from then on it has been silent.
    """
    if timeout:
        interval = timeout / BEATS

        def beat() -> None:
            row.turn_since = monotonic() + interval
            loop.call_later(interval, beat)

        loop.call_soon(beat)
    return loop


if sys.platform != "win32":

    def epoll_of(loop: asyncio.AbstractEventLoop) -> "select.epoll | None":
        """Return the epoll that ``loop`` waits in, or None where it has none that we can reach."""
        if not _HAS_EPOLL:
            return None
        if isinstance(loop, TurnLoop) and isinstance(loop.turns, selectors.EpollSelector):
            fd = loop.turns.fileno()
        elif (number := getattr(loop, "_get_backend_id", None)) is not None:
            fd = number()  # of uvloop, whose own tests use it
        else:
            return None
        # A duplicate, for the object closes what it is given, perhaps after the loop has done so.
        return select.epoll.fromfd(os.dup(fd))
