"""A program in a worker's place, as far as the arbiter holds anything of it."""

from dataclasses import dataclass
from typing import Protocol

from prefork.arbiter.child_events import News
from prefork.arbiter.programs.row import ProgramRow
from prefork.platform.base import Child


class Letters(Protocol):
    """What a program says of itself, on a system where it can."""

    def last_words(self) -> None:
        """Hear what it has said before its end."""

    def close(self) -> None:
        """Hear no more."""


@dataclass(slots=True)
class Program:
    """What there is of one program besides its process."""

    child: Child
    row: ProgramRow
    letters: Letters | None = None
    spoke: bool = False  #: it has notified us; so it will say itself when it is ready
    ready: bool = False
    ready_at: float | None = None
    kill_at: float | None = None

    def become_ready(self, news: News, now: float) -> None:
        """Count as capacity from now on."""
        self.ready_at = None
        if not self.ready:
            self.ready = True
            self.row.restart_watch(now)
            news.ready(self.child, None, now)
