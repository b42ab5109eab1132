"""The event loops of POSIX systems, and the epoll in which each waits."""

import asyncio
import os
import select
import selectors
from collections.abc import Callable
from time import monotonic
from typing import Final

from prefork.ipc.layout import Row
from prefork.kinds.event_loop.choice import check_loop
from prefork.settings import Settings
from prefork.worker.loop.loops import TurnLoop

#: Beats of a loop that cannot show its turns, in each ``timeout``.
BEATS: Final = 4

_HAS_EPOLL: Final = hasattr(select, "epoll")


def loop_factory(settings: Settings, row: Row) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the loop: uvloop's where it is installed, unless another is asked for.

    Raises HandlerError when the one that is asked for cannot be had.
    """
    uvloop = check_loop(settings)
    if uvloop is not None:
        return lambda: _beating(uvloop.new_event_loop(), row, settings.timeout)
    return lambda: TurnLoop(row)


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


def _beating(
    loop: asyncio.AbstractEventLoop, row: Row, timeout: float
) -> asyncio.AbstractEventLoop:
    """Have ``loop``, whose turns cannot be seen, write to the row now and then that it goes round.

    The row holds when the next beat is due: from then on it has been silent.
    """
    if timeout:
        interval = timeout / BEATS

        def beat() -> None:
            row.turn_since = monotonic() + interval
            loop.call_later(interval, beat)

        loop.call_soon(beat)
    return loop
