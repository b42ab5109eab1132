"""A program in a worker's place, as far as the arbiter holds anything of it."""

from dataclasses import dataclass
from typing import Protocol

from prefork.arbiter.child_events import ChildEvents
from prefork.arbiter.programs.row import ProgramRow
from prefork.core.events import WorkerReady
from prefork.platform.base import Child
from prefork.settings import Settings


class NotifyReader(Protocol):
    """Reads what a program notifies us of, on a system where it can."""

    def read_rest(self) -> None:
        """Read what is left of a program that has ended."""

    def close(self) -> None:
        """Read no more."""


@dataclass(slots=True)
class Program:
    """What there is of one program besides its process."""

    child: Child
    row: ProgramRow
    settings: Settings  #: of its generation
    notify: NotifyReader | None = None
    ready: bool = False

    @property
    def slot(self) -> int:
        """Its place in the pool; a program is never a mold."""
        assert self.child.slot is not None
        return self.child.slot

    def report_ready(self, events: ChildEvents, now: float) -> None:
        """Report that it serves, if that is not known yet."""
        if not self.ready:
            events.pool.apply(WorkerReady(self.slot), now)
            self.count_as_ready(events, now)

    def count_as_ready(self, events: ChildEvents, now: float) -> None:
        """Note that the pool counts it as capacity."""
        self.ready = True
        self.row.restart_watch(now)
        events.counted_as_ready(self.child, now)
