"""What becomes known of the arbiter's processes: reported to pool and log, each thing once.

All but their ends, which ``children`` reports: it has to read the last messages before.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefork.arbiter.scoreboard_writer import ScoreboardWriter
from prefork.core.events import (
    IncidentRecorded,
    LoadFailed,
    MoldReady,
    ProcessResumed,
    ProcessSuspended,
    WorkerReady,
)
from prefork.core.pool import Pool
from prefork.incidents import guilty_frame, write_incident
from prefork.logs.log import Log
from prefork.platform.base import Child


class ChildEvents:
    """Reports to the pool, the scoreboard and the log; knows a process by its handle only."""

    def __init__(
        self,
        pool: Pool,
        scoreboard: ScoreboardWriter,
        log: Log,
        incidents: Path | None,
        clock: Callable[[], float],
    ) -> None:
        self.pool = pool
        self.scoreboard = scoreboard
        self.log = log
        self.clock = clock  #: seconds, as the platform's ``now``
        self.load_failure_logged = False
        self._incidents = incidents
        self._kind = ""

    def started(self, child: Child) -> None:
        """Enter a process that exists."""
        self.scoreboard.occupy(child)
        self.log.info("mold started" if child.slot is None else "worker started", **fields(child))

    def kind(self, kind: str, capacity: int, *, event_loop: bool) -> None:
        """Take note of what the workers serve: only a process that loads the target knows."""
        if not kind or self._kind == kind:
            return
        self._kind = kind
        self.scoreboard.describe_kind(kind, event_loop=event_loop)
        self.log.info("target loaded", kind=kind, capacity=capacity)

    def ready(
        self, child: Child, capacity: int | None, event_loop: bool | None, now: float
    ) -> None:
        """Report that ``child`` serves, or can be forked; None is what it does not know."""
        known = (capacity, event_loop)
        if child.slot is None:
            self.pool.apply(MoldReady(child.generation, *known), now)
            self.log.info("mold ready", **fields(child))
        else:
            self.pool.apply(WorkerReady(child.slot, *known), now)
            self.counted_as_ready(child, now)

    def counted_as_ready(self, child: Child, now: float) -> None:
        """Log that ``child``, a worker, serves from now on."""
        self.log.info("worker ready", **fields(child), after=self.scoreboard.age(child, now))

    def load_failure(self, child: Child, reason: str, traceback: str) -> None:
        """Log the reason and the traceback once, however many workers fail for it."""
        if not self.load_failure_logged:
            self.load_failure_logged = True
            reported: dict[str, Any] = {**fields(child), "reason": reason}
            if traceback:
                reported["traceback"] = traceback
            self.log.error("target cannot be loaded", **reported)
        self.pool.apply(LoadFailed(child.key, reason), self.clock())

    def suspended(self, child: Child) -> None:
        """Report that ``child`` was stopped by a signal."""
        self.log.warning("worker suspended", **fields(child))
        self.pool.apply(ProcessSuspended(child.key), self.clock())

    def resumed(self, child: Child) -> None:
        """Report that ``child`` continues."""
        self.log.info("worker resumed", **fields(child))
        self.pool.apply(ProcessResumed(child.key), self.clock())

    def hung(self, child: Child, held: dict[str, Any], report: dict[str, Any]) -> None:
        """Write the incident of ``child``, which is killed then."""
        path = write_incident(self._incidents, {"what": "worker hung", **held, **report})
        self.log.error(
            "mold hung" if child.slot is None else "worker hung",
            **fields(child),
            **held,
            where=guilty_frame(report["stacks"]),
            kernel=report["kernel"].get("wchan"),
            incident=path,
        )
        self.pool.apply(IncidentRecorded(child.key), self.clock())


def fields(child: Child) -> dict[str, Any]:
    """Return how the log names ``child``."""
    named = {"slot": child.slot, "generation": child.generation, "pid": child.pid}
    if child.slot is None:
        del named["slot"]
    return named
