"""The arbiter's side of the scoreboard: writes which workers there are, reads what they do."""

from collections.abc import Callable
from typing import Any

from prefork.core.limits import accept_mode_of_kind
from prefork.core.pool import Pool
from prefork.core.snapshot import WorkerReport
from prefork.core.states import Process, Record, State, WorkerRecord
from prefork.ipc import layout
from prefork.ipc.layout import NEVER_REPORTED
from prefork.ipc.reading import Counts, counted, oldest_since
from prefork.ipc.scoreboard import Description, Scoreboard
from prefork.platform.base import Child
from prefork.sockets.listeners import peer_text

_FIELDS = layout.Row
#: What the pool decides from: neighbours, so that all of a row is read with one call.
_SEEN = (
    _FIELDS.busy_since,
    _FIELDS.held_since,
    _FIELDS.accepted,
    _FIELDS.connections,
    _FIELDS.active,
    _FIELDS.handled,
    _FIELDS.failed,
    _FIELDS.turn_since,
    _FIELDS.leaving,
)


class ScoreboardWriter:
    """What the arbiter writes on the scoreboard, and reads there."""

    def __init__(self, scoreboard: Scoreboard, pid: int, now: float) -> None:
        self.scoreboard = scoreboard
        # Kept, because they are needed at every look.
        self._rows: dict[int, layout.Row] = {}
        self._records: dict[int, layout.Record] = {}
        self._readers: dict[int, Callable[[], tuple[Any, ...]]] = {}
        self._started: dict[Process, float] = {}
        self._occupied: set[int] = set()
        header = scoreboard.header
        header.started = now
        header.pid = pid

    def describe(self, description: Description, accept: str) -> None:
        """Write what never changes, and how workers accept as far as it is known by now."""
        self.scoreboard.header.accept = accept
        self.scoreboard.description = description

    def describe_kind(self, kind: str, *, event_loop: bool) -> None:
        """Write what the workers serve, and how such workers accept, once it is known."""
        header = self.scoreboard.header
        header.kind = kind
        header.accept = accept_mode_of_kind(header.accept, is_loop=event_loop)

    def rows(self, pool: Pool) -> dict[int, WorkerReport]:
        """Return what each worker of ``pool`` reports of itself."""
        return {slot: self._seen(slot) for slot in pool.members.workers}

    def _seen(self, slot: int) -> WorkerReport:
        if slot not in self._readers:
            self._readers[slot] = self.row(slot).reader(*_SEEN)
        read = self._readers[slot]
        busy_since, _, accepted, connections, active, _, _, turn_since, leaving = read()
        return WorkerReport(
            connections=connections,
            active=active,
            busy_since=busy_since or None if active else None,
            stuck_since=turn_since or None,
            leaving=bool(leaving),
            accepted=accepted,
            is_known=busy_since != NEVER_REPORTED,
        )

    def row(self, slot: int) -> layout.Row:
        """Return the row of ``slot``, of which the arbiter is the writer if that is a program."""
        if slot not in self._rows:
            self._rows[slot] = self.scoreboard.row(slot)
        return self._rows[slot]

    def _record(self, slot: int) -> layout.Record:
        if slot not in self._records:
            self._records[slot] = self.scoreboard.record(slot)
        return self._records[slot]

    def publish(self, pool: Pool) -> None:
        """Write the pool's state for all processes to read."""
        scaling, header = pool.limits.scaling, self.scoreboard.header
        header.state = str(pool.state)
        header.generation = pool.generation
        header.minimum, header.maximum = scaling.minimum, scaling.maximum
        header.target = pool.target
        header.spawned, header.exited = pool.totals.spawned, pool.totals.exited
        header.crashed, header.hung = pool.totals.crashed, pool.totals.hung
        for slot in self._occupied:
            self._record(slot).state = pool.members.workers[slot].state.value

    def end(self) -> None:
        """Write that the server is no more; the file may outlive it in a reader's hands."""
        self.scoreboard.header.state = "stopped"

    def prepare(self, record: Record) -> None:
        """Make the slot of ``record`` ready for its process, which is about to be started."""
        self._started[record.process] = record.started
        if not isinstance(record, WorkerRecord):
            return
        slot = record.slot
        header = self.scoreboard.header
        header.used_slots = max(header.used_slots, slot + 1)
        self._record(slot).prepare(record.generation, record.started, self.row(slot))

    def occupy(self, child: Child) -> None:
        """Write the process of ``child`` into its slot."""
        assert child.pid is not None  # this is called once the system has given one
        if child.slot is not None:
            record = self._record(child.slot)
            record.pid, record.state = child.pid, State.STARTING.value
            self._occupied.add(child.slot)

    def vacate(self, process: Process) -> None:
        """Mark the slot of ``process`` as free; its counters stay."""
        self._started.pop(process, None)
        if isinstance(process, int):
            self._occupied.discard(process)
            self._record(process).state = ""

    def counted(self, child: Child) -> Counts:
        """Return what ``child`` has counted in its life."""
        if child.slot is None:
            return Counts()
        return counted(self._record(child.slot), self.row(child.slot))

    def age(self, child: Child, now: float) -> float:
        """Return how many seconds ago ``child`` was ordered."""
        return round(now - self._started.get(child.key, now), 3)

    def held_by(self, child: Child, now: float) -> dict[str, Any]:
        """Return what unit ``child`` has in progress, and for how long."""
        if child.slot is None:
            return {}
        row = self.row(child.slot)
        if not row.active:
            return {"active": 0}
        since = oldest_since(row)
        of_whom = {"says": row.text} if child.program else {"peer": peer_text(row.peer)}
        return {
            "active": row.active,
            **of_whom,
            "busy_for": 0.0 if since is None else round(now - since, 3),
        }
