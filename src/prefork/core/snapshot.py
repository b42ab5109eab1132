"""What the pool sees of the world at one moment."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prefork.core.states import Process, State, WorkerRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """What a worker reports of itself on the scoreboard.

    Connections and units are two things: an idle keep-alive connection is held, and nothing is
    in progress on it.  For kinds whose unit is the connection both numbers are the same.
    """

    connections: int = 0  #: connections held
    active: int = 0  #: units in progress
    busy_since: float | None = None  #: start of the oldest of them, where a unit has to end
    stuck_since: float | None = None  #: its event loop has not gone round since, and should have
    leaving: bool = False  #: it has acknowledged the drain
    accepted: int = 0  #: connections taken so far; only its rising matters
    is_known: bool = True  #: whether it has ever reported what it holds

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in progress; connections without a unit do not count."""
        return self.is_known and self.active == 0

    @property
    def is_empty(self) -> bool:
        """Whether a drain is finished: neither a unit nor a connection is left."""
        return self.active == 0 and self.connections == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One look at everything: a row for each worker, and how many connections wait."""

    now: float
    rows: Mapping[int, WorkerReport]
    queued: int | None = None  #: connections waiting at all listeners; None is unknown

    def row(self, process: Process) -> WorkerReport | None:
        """Return the row of ``process``; None if there is none, as for a mold."""
        return self.rows.get(process) if isinstance(process, int) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is seen of the demand; only what ready workers hold, and the accept queues."""

    now: float
    active: int  #: units in progress; connections that are only held ask for no worker
    queued: int | None  #: connections waiting; None is unknown
    accepted: Mapping[int, int]  #: connections each slot has taken
    can_shrink: bool  #: whether one worker fewer would be enough
    arrived: bool = False  #: the arbiter was woken by a connection

    @property
    def demand(self) -> int:
        """Units in progress or waiting."""
        return self.active + (self.queued or 0)


def look_at(
    live: Sequence[WorkerRecord],
    snapshot: Snapshot,
    *,
    missing: bool,
    capacity: int,
    arrived: bool,
    may_shrink: bool,
) -> Look | None:
    """Return what is seen of the demand; None, if nothing is known of some ready worker.

    A lower target is possible if a worker is missing anyway, if one is idle, or if there are
    others, each of which holds up to ``capacity`` units, to take what it would get.
    """
    ready = [record.slot for record in live if record.state is State.READY]
    rows = {slot: row for slot in ready if (row := snapshot.rows.get(slot)) is not None}
    if len(rows) < len(ready):
        return None
    idle = idle_slot(live, rows) is not None
    spreads = capacity > 1 and sum(row.is_known for row in rows.values()) > 1
    queued = snapshot.queued
    if queued is None and arrived and not idle:
        queued = 1  # It cannot be counted, but the client that woke us found no idle worker.
    return Look(
        now=snapshot.now,
        active=sum(row.active for row in rows.values()),
        queued=queued,
        accepted={slot: row.accepted for slot, row in rows.items()},
        can_shrink=may_shrink and (missing or idle or spreads),
        arrived=arrived,
    )


def idle_slot(live: Iterable[WorkerRecord], rows: Mapping[int, WorkerReport]) -> int | None:
    """Return the slot of a ready worker that is known to have nothing in progress.

    Of several it is the one that holds fewest connections, then the highest.
    """
    idle = [record.slot for record in live if is_idle(record, rows)]
    return min(idle, key=lambda slot: (rows[slot].connections, -slot), default=None)


def least_busy_slot(live: Iterable[WorkerRecord], rows: Mapping[int, WorkerReport]) -> int | None:
    """Return the slot of the ready worker with fewest units in progress.

    Of several it is the one that holds fewest connections, then the highest.
    """
    known = [
        (rows[record.slot].active, rows[record.slot].connections, -record.slot)
        for record in live
        if record.state is State.READY and record.slot in rows and rows[record.slot].is_known
    ]
    return -min(known)[2] if known else None


def is_idle(record: WorkerRecord, rows: Mapping[int, WorkerReport]) -> bool:
    """Return whether the worker is ready and known to have nothing in progress."""
    row = rows.get(record.slot)
    return record.state is State.READY and row is not None and row.is_idle
