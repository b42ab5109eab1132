"""The generations of a pool: mold, workers, what was learned of them, failed starts, phase.

Failed starts are counted for each generation, so that a new one whose workers fail does not slow
down the old one, which has to go on as if nothing had happened.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Final

from prefork.core.journal import Journal
from prefork.core.lifecycle import is_failed_start, is_load_failure
from prefork.core.limits import PoolLimits
from prefork.core.restart import RestartLimits, next_attempt
from prefork.core.states import (
    Cause,
    ExitStatus,
    Mold,
    MoldRecord,
    Phase,
    Process,
    Record,
    State,
    WorkerRecord,
)

#: Failures remembered at least; beyond the exponent's cap they make no difference.
REMEMBERED: Final = 64

#: Seconds that a worker has been ready before its success counts.  Workers that die as soon as
#: they are ready would otherwise clear one another's failures, and crash at full speed.
PROBATION: Final = 1.0


class FailedStarts:
    """The failed starts since the last success, and what they mean for the next one."""

    def __init__(self, limits: RestartLimits) -> None:
        self.limits = limits
        self.moments: list[float] = []

    def __len__(self) -> int:
        return len(self.moments)

    def add(self, record: Record, now: float) -> None:
        """Count the failed start of ``record``'s process.

        If it seemed to be a success, it was none: the failures which it cleared count again.
        """
        if isinstance(record, WorkerRecord):
            self.moments = sorted([*record.cleared, *self.moments])
            record.cleared = ()
        # Workers started together fail together; that is one attempt. Otherwise eight workers
        # would use up all patience in their first tenth of a second.
        if self.moments and record.started <= self.moments[-1]:
            return
        self.moments.append(now)
        del self.moments[: -max(self.limits.intensity, REMEMBERED)]

    def confirmed_at(self, record: Record) -> float | None:
        """Return when the success of ``record``'s worker clears the failures before it.

        None if it does not: it is not ready, or the last failure is of a later start.
        """
        if record.state is not State.READY or not isinstance(record, WorkerRecord):
            return None
        if not self.moments or record.started <= self.moments[-1]:
            return None
        return record.since + PROBATION

    def clear(self, record: WorkerRecord) -> None:
        """Clear the failures, for the worker of ``record`` is a success."""
        record.cleared = tuple(self.moments)
        self.moments.clear()

    def next_attempt(self, now: float) -> float:
        """Return when to start the next worker: at worst as slowly as the limits allow."""
        moment = next_attempt(self.moments, now, self.limits)
        return self.moments[-1] + self.limits.max_delay if moment is None else moment

    def are_too_many(self, now: float) -> bool:
        """Return whether so many starts failed lately that it makes no sense to go on."""
        return next_attempt(self.moments, now, self.limits) is None


@dataclass(slots=True, kw_only=True)
class Generation:
    """What all workers of one generation have in common."""

    number: int
    phase: Phase
    fork: bool  #: whether its workers are forked; once refused, never again
    failed: FailedStarts
    mold: MoldRecord | None = None
    capacity: int | None = None  #: units that a worker holds at once; None is not known yet
    is_loop: bool | None = None  #: whether a worker runs an event loop; None is not known yet
    ever_ready: bool = False  #: whether any of its workers has ever been ready
    soaked_at: float | None = None  #: when it is trusted, if its first worker lives so long
    trouble: str = ""  #: why it must not go on, once something has shown it

    @classmethod
    def of(cls, number: int, phase: Phase, limits: PoolLimits) -> "Generation":
        """Return a new generation with no process yet."""
        failed = FailedStarts(limits.restart)
        return cls(number=number, phase=phase, fork=limits.fork, failed=failed)

    @property
    def is_on_trial(self) -> bool:
        """Whether only its first worker, the canary, is to show that it works."""
        return self.phase in (Phase.STARTING, Phase.SOAKING)

    @property
    def lacks_mold(self) -> bool:
        """Whether workers have to wait because there is no mold."""
        return self.fork and self.mold is None

    @property
    def can_start_workers(self) -> bool:
        """Whether a worker could be started now, but for the time to wait after failures."""
        return not self.fork or (self.mold is not None and self.mold.state is State.READY)

    def learn(self, capacity: int | None, is_loop: bool | None) -> None:
        """Take note of what a worker is; only a process that loaded the target knows."""
        self.capacity = self.capacity if capacity is None else capacity
        self.is_loop = self.is_loop if is_loop is None else is_loop

    def note_ready(self, now: float, soak: float) -> None:
        """Note that a worker is ready; with the first one a generation on trial begins to soak."""
        self.ever_ready = True
        if self.phase is Phase.STARTING:
            self.phase, self.soaked_at = Phase.SOAKING, now + soak

    def note_trouble(self, why: str) -> None:
        """Note what goes wrong on trial, where nothing may; the first trouble is the reason."""
        if self.is_on_trial and not self.trouble:
            self.trouble = why


class Members:
    """All processes of the pool, each of a generation.

    At most two generations start workers: the current one and its successor.  Others only have
    workers that have not finished yet; such a generation is forgotten with its last process.
    """

    def __init__(self, limits: PoolLimits) -> None:
        self.workers: dict[int, WorkerRecord] = {}  #: by slot
        self.current = Generation.of(1, Phase.CURRENT, limits)
        self.successor: Generation | None = None
        self.generations = {1: self.current}  #: by number

    def __iter__(self) -> Iterator[Record]:
        """Go through workers and molds; the caller may add and remove some meanwhile."""
        yield from list(self.workers.values())
        yield from self.molds.values()

    @property
    def molds(self) -> dict[int, MoldRecord]:
        """The molds by generation."""
        return {it.number: it.mold for it in self.generations.values() if it.mold is not None}

    @property
    def serving(self) -> Generation:
        """The generation of which missing workers are started."""
        if self.successor is not None and not self.successor.is_on_trial:
            return self.successor
        return self.current

    @property
    def on_trial(self) -> Generation | None:
        """The successor, as long as only its first worker is there to show that it works."""
        return self.successor if self.successor is not self.serving else None

    def generation_of(self, record: Record) -> Generation:
        """Return the generation that the process belongs to."""
        return self.generations[record.generation]

    def record_of(self, process: Process) -> Record:
        """Return what is known of ``process``; raises KeyError when it does not exist."""
        return (
            self.molds[process.generation] if isinstance(process, Mold) else self.workers[process]
        )

    def starters(self) -> list[Generation]:
        """Return the generations that start processes, the one that serves first."""
        return [self.serving, *([] if self.on_trial is None else [self.on_trial])]

    def live(self) -> list[WorkerRecord]:
        """Return the workers that are ready, or about to be."""
        return [record for record in self.workers.values() if record.is_live]

    def counted(self) -> list[WorkerRecord]:
        """Return the live workers that count; the first one of a new generation does not yet."""
        trial = None if self.on_trial is None else self.on_trial.number
        return [record for record in self.live() if record.generation != trial]

    def outdated(self) -> list[WorkerRecord]:
        """Return those of ``counted()`` whose generation does not serve any more."""
        number = self.serving.number
        return [record for record in self.counted() if record.generation != number]

    def could_serve(self, target: int) -> bool:
        """Return whether the server does what it should: it serves, or it could at once."""
        if self.serving.ever_ready or target:
            return self.serving.ever_ready
        return self.serving.can_start_workers

    def add_mold(self, generation: Generation, now: float) -> None:
        """Enter the mold that is ordered now."""
        generation.mold = MoldRecord(generation=generation.number, started=now, since=now)

    def add_worker(self, generation: Generation, now: float) -> WorkerRecord:
        """Enter a worker that is ordered now, in the lowest free slot."""
        slot = next(slot for slot in count() if slot not in self.workers)
        # What comes out of the mold has its target already.
        self.workers[slot] = record = WorkerRecord(
            slot=slot,
            generation=generation.number,
            started=now,
            since=now,
            loaded=generation.fork,
        )
        return record

    def remove(self, process: Process) -> Record:
        """Forget a process that is gone; its slot is free again."""
        record = self.record_of(process)
        if isinstance(record, MoldRecord):
            self.generation_of(record).mold = None
        else:
            del self.workers[record.slot]
        return record

    def forget_generations(self) -> None:
        """Forget the generations of which no process is left."""
        alive = {record.generation for record in self}
        for number, generation in list(self.generations.items()):
            if generation.phase is Phase.RETIRING and number not in alive:
                del self.generations[number]

    def ended(
        self, record: Record, status: ExitStatus, accepted: int | None, now: float, journal: Journal
    ) -> str:
        """Learn from the end of a process; return why the target cannot be loaded, if it cannot.

        ``accepted`` is how many connections it took; None is unknown.
        """
        generation = self.generation_of(record)
        period = generation.failed.limits.period
        if is_load_failure(record, status) and not generation.ever_ready:
            return self.cannot_load(record, f"its import ended the process ({status})")
        if is_failed_start(record, status, accepted, now, period):
            self.count_failure(record, now, str(status), journal)
        elif isinstance(record, WorkerRecord) and record.leaving_for in (None, Cause.HUNG):
            generation.note_trouble(f"{record} ended ({status})")
        return ""

    def cannot_load(self, record: Record, reason: str) -> str:
        """Return ``reason`` if it is one to give up; empty if another generation serves."""
        generation = self.generation_of(record)
        generation.note_trouble(f"the target cannot be loaded: {reason}")
        if generation.ever_ready:
            return ""  # The files may be in the middle of an update: its exit is a failed start.
        record.leaving_for = Cause.FAILED_TO_START
        return reason if generation is self.current else ""

    def count_failure(self, record: Record, now: float, reason: str, journal: Journal) -> None:
        """Count a failed start of ``record``'s process."""
        generation = self.generation_of(record)
        if generation.phase is Phase.RETIRING:
            return  # It starts nothing any more.
        generation.failed.add(record, now)
        why = f"{record} failed to start: {reason}"
        generation.note_trouble(why)
        wait = max(generation.failed.next_attempt(now) - now, 0.0)
        slot = record.slot if isinstance(record, WorkerRecord) else None
        inputs = {"slot": slot, "failures": len(generation.failed), "wait": wait}
        journal.note("restart", now, f"{why}; the next attempt is in {wait:.3g} s", inputs)

    def confirm_successes(self, now: float) -> None:
        """Clear the failed starts before the workers that have been ready for long enough."""
        for record in self.workers.values():
            failed = self.generation_of(record).failed
            confirmed_at = failed.confirmed_at(record)
            if confirmed_at is not None and now >= confirmed_at:
                failed.clear(record)
