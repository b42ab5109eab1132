"""The scoreboard's row of a program, which the arbiter writes for it."""

from typing import Final

from prefork.ipc.layout import NEVER_REPORTED, Row

#: Seconds: the smallest moment that is not 0, which means that its silence is not watched.
_TINY: Final = 1e-9


class ProgramRow:
    """Writes what a program reports, as one of our own workers would.

    A row has one writer: for a program that is the arbiter, which receives its notifications: the
    program does not map the scoreboard.
    """

    def __init__(self, row: Row, timeout: float) -> None:
        self._row = row
        row.busy_since = NEVER_REPORTED
        self._timeout = timeout  #: how long the pool lets a silence last; 0 is for ever
        self._period = timeout  #: how long the program wants its silences to last

    def set_leaving(self) -> None:
        """Note that the program takes no more."""
        self._row.leaving = 1

    def set_text(self, text: str) -> None:
        """Keep what the program reports for people to read, as far as there is room."""
        self._row.text = text

    def set_units(self, units: int, now: float) -> None:
        """Note that ``units`` are in progress: a rise counts as accepted, a fall as handled."""
        row = self._row
        before = row.active
        row.busy_since = 0.0
        row.accepted += max(units - before, 0)
        row.handled += max(before - units, 0)
        if not (units and before):
            row.held_since = now if units else 0.0
        row.connections = row.active = units

    def watch_silence(self, period: float, now: float) -> None:
        """Take a silence of more than ``period`` seconds as a hang; 0 watches no more."""
        self._period = period
        self.note_alive(now)

    def note_alive(self, now: float) -> None:
        """Note that the program lives; from then on its silence is watched."""
        # The pool counts ``timeout`` from here.
        self._set_silent_since(now + self._period - self._timeout if self._period else None)

    def restart_watch(self, now: float) -> None:
        """Begin to count its silence anew, if it is watched: only now does it have to report."""
        if self._row.turn_since:
            self.note_alive(now)

    def set_hung(self, now: float) -> None:
        """Note that the program itself reports that it hangs."""
        self._set_silent_since(now - self._timeout)

    def _set_silent_since(self, moment: float | None) -> None:
        watched = moment is not None and self._timeout
        # Near the start of the clock a moment may be 0.
        self._row.turn_since = (moment or _TINY) if watched else 0.0
