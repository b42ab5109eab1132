"""A program in a worker's place, as far as the arbiter holds anything of it."""

from dataclasses import dataclass
from typing import Protocol

from prefork.arbiter.child_events import News
from prefork.arbiter.programs.row import ProgramRow
from prefork.core.events import WorkerReady
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
    ready: bool = False

    @property
    def slot(self) -> int:
        """Its place in the pool; a program is never a mold."""
        assert self.child.slot is not None
        return self.child.slot

    def report_ready(self, news: News, now: float) -> None:
        """Report that it serves, if that is not known yet."""
        if not self.ready:
            news.pool.apply(WorkerReady(self.slot), now)
            self.count_as_ready(news, now)

    def count_as_ready(self, news: News, now: float) -> None:
        """Note that the pool counts it as capacity."""
        self.ready = True
        self.row.restart_watch(now)
        news.counted_as_ready(self.child, now)
