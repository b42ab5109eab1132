"""The arbiter's side of the scoreboard: enters who is there, reads what they do."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from prefork.core.pool import Pool
from prefork.core.snapshot import Row
from prefork.core.states import MOLD, State, WorkerRecord
from prefork.ipc.scoreboard import (
    H_CRASHED,
    H_EXITED,
    H_GENERATION,
    H_HUNG,
    H_KIND,
    H_MAXIMUM,
    H_MINIMUM,
    H_PID,
    H_SPAWNED,
    H_STARTED,
    H_STATE,
    H_TARGET,
    H_USED,
    KINDS,
    R_PID,
    R_STATE,
    SERVER_STATES,
    STATES,
    UNKNOWN,
    W_ACCEPTED,
    W_ACTIVE,
    W_BUSY_SINCE,
    W_HELD_SINCE,
    W_LEAVING,
    W_TURN_SINCE,
    Counters,
    Scoreboard,
)
from prefork.ipc.scoreboard import Row as BoardRow
from prefork.platform.base import Child

_NUMBERS: Final = {state: STATES.index(state.value) for state in State}


class Board:
    """What the arbiter writes and reads on the scoreboard."""

    def __init__(self, scoreboard: Scoreboard, pid: int, now: float) -> None:
        self.scoreboard = scoreboard
        self._rows: dict[int, BoardRow] = {}  # views are kept: they are read at every look
        self._started: dict[int, float] = {}
        self._occupied: set[int] = set()
        header = scoreboard.header
        scoreboard.clock[H_STARTED] = now
        header[H_PID] = pid

    def describe(self, text: Mapping[str, Any]) -> None:
        """Enter what never changes: name, target, addresses."""
        self.scoreboard.text = msgspec.json.encode(text)

    def describe_kind(self, kind: str) -> None:
        """Enter what the workers serve, once one has told."""
        self.scoreboard.header[H_KIND] = KINDS.index(kind)

    def rows(self, pool: Pool) -> dict[int, Row]:
        """Return what each worker of ``pool`` says of itself."""
        return {slot: self._row(slot) for slot in pool.records if slot != MOLD}

    def _row(self, slot: int) -> Row:
        row = self._view(slot)
        words = row.words
        active = words[W_ACTIVE]
        return Row(
            active=active,
            is_known=row.clock[W_BUSY_SINCE] != UNKNOWN,
            busy_since=row.clock[W_BUSY_SINCE] or None if active else None,
            stuck_since=row.clock[W_TURN_SINCE] or None,
            leaving=bool(words[W_LEAVING]),
            accepted=words[W_ACCEPTED],
        )

    def _view(self, slot: int) -> BoardRow:
        if slot not in self._rows:
            self._rows[slot] = self.scoreboard.row(slot)
        return self._rows[slot]

    def row_of(self, slot: int) -> BoardRow:
        """Return the row of a program, which knows of none: so we are its only writer."""
        return self._view(slot)

    def publish(self, pool: Pool) -> None:
        """Write the pool's state for everybody to read."""
        scaling, header = pool.limits.scaling, self.scoreboard.header
        header[H_STATE] = SERVER_STATES.index(str(pool.state))
        header[H_GENERATION] = pool.generation
        header[H_MINIMUM], header[H_MAXIMUM] = scaling.minimum, scaling.maximum
        header[H_TARGET] = pool.target
        header[H_SPAWNED], header[H_EXITED] = pool.totals.spawned, pool.totals.exited
        header[H_CRASHED], header[H_HUNG] = pool.totals.crashed, pool.totals.hung
        for slot in self._occupied:
            self.scoreboard.record(slot).words[R_STATE] = _NUMBERS[pool.records[slot].state]

    def end(self) -> None:
        """Say that the server is no more; the file may outlive it in a reader's hands."""
        self.scoreboard.header[H_STATE] = SERVER_STATES.index("stopped")

    def prepare(self, record: WorkerRecord) -> None:
        """Make the slot of ``record`` ready for its process, which is about to be started."""
        slot = record.slot
        self._started[slot] = record.started
        if slot == MOLD:
            return
        header = self.scoreboard.header
        header[H_USED] = max(header[H_USED], slot + 1)
        self.scoreboard.record(slot).prepare(record.generation, record.started, self._view(slot))

    def occupy(self, child: Child) -> None:
        """Enter the process of ``child`` in its slot."""
        assert child.pid is not None  # it is entered once the system has told
        if child.slot is not None:
            words = self.scoreboard.record(child.slot).words
            words[R_PID], words[R_STATE] = child.pid, _NUMBERS[State.STARTING]
            self._occupied.add(child.slot)

    def vacate(self, slot: int) -> None:
        """Mark ``slot`` as free; its counters stay."""
        self._started.pop(slot, None)
        self._occupied.discard(slot)
        if slot != MOLD:
            self.scoreboard.record(slot).words[R_STATE] = 0

    def counted(self, child: Child) -> Counters:
        """Return what ``child`` has counted in its life."""
        if child.slot is None:
            return Counters()
        return self.scoreboard.counted(child.slot)

    def age(self, child: Child, now: float) -> float:
        """Return how many seconds ago ``child`` was ordered."""
        return round(now - self._started.get(MOLD if child.slot is None else child.slot, now), 3)

    def held_by(self, child: Child, now: float) -> dict[str, Any]:
        """Return what connection ``child`` holds, and for how long."""
        if child.slot is None:
            return {}
        row = self._view(child.slot)
        if not row.words[W_ACTIVE]:
            return {"active": 0}
        since = row.clock[W_BUSY_SINCE] or row.clock[W_HELD_SINCE]
        return {
            "active": row.words[W_ACTIVE],
            "says" if child.program else "peer": row.peer,
            "busy_for": round(now - since, 3) if since else 0.0,
        }
