"""The scoreboard's row of a program, which knows of no scoreboard."""

from typing import Final

from prefork.ipc.scoreboard import (
    UNKNOWN,
    W_ACCEPTED,
    W_ACTIVE,
    W_BUSY_SINCE,
    W_HANDLED,
    W_HELD_SINCE,
    W_LEAVING,
    W_TURN_SINCE,
    Row,
)

_TINY: Final = 1e-9


class ProgramRow:
    """Writes what a program says of itself, as a worker of ours would do.

    A row has one writer: for a program that is the arbiter, which hears what it says, and
    nobody else maps the scoreboard.
    """

    def __init__(self, row: Row, timeout: float) -> None:
        self._row = row
        row.clock[W_BUSY_SINCE] = UNKNOWN
        self._timeout = timeout  #: how long the pool lets a silence last; 0 is for ever
        self._period = timeout  #: how long the program wants its silences to last

    def leave(self) -> None:
        """Note that the program takes no more."""
        self._row.words[W_LEAVING] = 1

    def say(self, text: str) -> None:
        """Keep what the program says for people to read, as far as there is room."""
        self._row.peer = text

    def hold(self, units: int, now: float) -> None:
        """Note that ``units`` are in progress: a rise counts as accepted, a fall as handled."""
        words = self._row.words
        before = words[W_ACTIVE]
        self._row.clock[W_BUSY_SINCE] = 0.0
        words[W_ACCEPTED] += max(units - before, 0)
        words[W_HANDLED] += max(before - units, 0)
        if not (units and before):
            self._row.clock[W_HELD_SINCE] = now if units else 0.0
        words[W_ACTIVE] = units

    def watch(self, period: float, now: float) -> None:
        """Take a silence of more than ``period`` seconds as a hang; 0 watches no more."""
        self._period = period
        self.beat(now)

    def beat(self, now: float) -> None:
        """Note that the program lives; from then on its silence is watched."""
        # The pool counts ``timeout`` from here.
        self._silent_since(now + self._period - self._timeout if self._period else None)

    def rouse(self, now: float) -> None:
        """Begin to count its silence anew, if it is watched: only now it has to speak."""
        if self._row.clock[W_TURN_SINCE]:
            self.beat(now)

    def fail(self, now: float) -> None:
        """Note that the program itself takes itself for hung."""
        self._silent_since(now - self._timeout)

    def _silent_since(self, moment: float | None) -> None:
        watched = moment is not None and self._timeout
        # Near the start of the clock a moment may be 0, which says that nobody watches.
        self._row.clock[W_TURN_SINCE] = (moment or _TINY) if watched else 0.0
