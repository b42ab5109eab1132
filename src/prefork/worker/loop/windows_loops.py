"""The event loops of Windows: its own kind, with a completion port, or one that waits in select."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from prefork.ipc.layout import Row
from prefork.kinds.event_loop.choice import check_loop
from prefork.settings import Settings
from prefork.worker.loop.loops import TurnLoop

_TURN_SINCE: Final = Row.turn_since.index


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
    """Return what makes the loop; raises HandlerError when the one asked for cannot be had."""
    check_loop(settings)
    if settings.loop == "selector":
        return lambda: TurnLoop(row)
    return lambda: asyncio.ProactorEventLoop(TurnProactor(row))
