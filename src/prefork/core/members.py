"""Who exists in the pool, and the steps of their lives. Knows no policy."""

from collections.abc import Iterator
from itertools import count

from prefork.core.actions import Drain, Kill
from prefork.core.causes import exit_cause
from prefork.core.events import WorkerLeaving, WorkerReady
from prefork.core.states import MOLD, Cause, ExitStatus, State, WorkerRecord
from prefork.core.transitions import advance

NUDGE_EVERY = 0.05  #: seconds between the wake-ups of a draining worker that does not answer


class Members:
    """The records of the workers and the mold, by slot."""

    def __init__(self) -> None:
        self.records: dict[int, WorkerRecord] = {}

    def __iter__(self) -> Iterator[WorkerRecord]:
        """Go through the workers and the mold; the table may change meanwhile."""
        return iter(list(self.records.values()))

    @property
    def mold(self) -> WorkerRecord | None:
        """The mold's record, if there is a mold."""
        return self.records.get(MOLD)

    def live(self) -> list[WorkerRecord]:
        """Return the workers that count as capacity: starting or ready."""
        return [record for record in self if record.is_live and record.slot != MOLD]

    def in_state(self, state: State) -> list[WorkerRecord]:
        """Return the workers in ``state``."""
        return [record for record in self if record.state is state and record.slot != MOLD]

    def lowest_free_slot(self) -> int:
        """Return the place for the next worker."""
        return next(slot for slot in count() if slot not in self.records)

    def begin(self, slot: int, generation: int, now: float, *, loaded: bool = False) -> None:
        """Enter a process that is ordered now; ``loaded`` if it comes out of the mold."""
        assert slot not in self.records, f"slot {slot} is taken"
        self.records[slot] = WorkerRecord(
            slot=slot, generation=generation, started=now, since=now, loaded=loaded
        )

    def ready(self, slot: int, now: float) -> WorkerRecord:
        """Note that the process in ``slot`` is ready, unless it was told to go meanwhile."""
        record = self.records[slot]
        advance(record, WorkerReady, now)
        return record

    def part(self, slot: int, now: float, until: float) -> None:
        """Note that the process in ``slot`` leaves by its own decision, to be gone by ``until``."""
        record = self.records[slot]
        advance(record, WorkerLeaving, now)
        record.kill_at = until

    def drain(self, slot: int, cause: Cause, now: float, until: float | None) -> Drain:
        """Have the process in ``slot`` finish and leave, and be killed at ``until``.

        With None it may take the time that its units take.
        """
        record = self.records[slot]
        advance(record, Drain, now)
        record.leaving_for = record.leaving_for or cause
        if until is not None:
            record.kill_at = until if record.kill_at is None else min(record.kill_at, until)
        record.nudge_at = None if slot == MOLD else now + NUDGE_EVERY
        return Drain(slot)

    def kill(self, slot: int, cause: Cause, now: float) -> Kill:
        """Have the process in ``slot`` killed; the first reason to leave stays the cause."""
        record = self.records[slot]
        advance(record, Kill, now)
        record.leaving_for = record.leaving_for or cause
        return Kill(slot)

    def remove(self, slot: int) -> WorkerRecord:
        """Forget the process in ``slot``, which is gone; its slot is free again."""
        return self.records.pop(slot)

    def cause_of(self, slot: int, status: ExitStatus) -> Cause:
        """Return why the process in ``slot`` ended with ``status``."""
        return exit_cause(self.records[slot], status)
