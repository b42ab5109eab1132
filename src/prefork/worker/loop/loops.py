"""An event loop whose turns the arbiter can see.

A loop is stuck when a turn takes longer than ``timeout``.  Whether it goes round, only the loop
itself can show: a thread would go on doing so while the loop is blocked.
"""

import asyncio
import selectors
from time import monotonic
from typing import Any, Final

from prefork.ipc.layout import Row

_TURN_SINCE: Final = Row.turn_since.index


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
    """asyncio's loop, with a selector that enters its turns in the row."""

    def __init__(self, row: Row) -> None:
        self.turns = TurnSelector(row)
        super().__init__(self.turns)
