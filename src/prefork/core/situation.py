"""All that the pool remembers, in one place. The rules that change it are in other files."""

from dataclasses import replace

from prefork.core.failures import Failures
from prefork.core.journal import Decision, Inputs, Journal
from prefork.core.limits import PoolLimits
from prefork.core.members import Members
from prefork.core.size import Change, Size
from prefork.core.states import MOLD, State, WorkerRecord
from prefork.core.stopping import Phase, Stop
from prefork.core.totals import Totals

WORKERS_FAILED = 3  #: exit status: workers kept failing to become ready
NOT_LOADABLE = 4  #: exit status: the target cannot be loaded


class Situation:
    """The pool's memory."""

    def __init__(self, limits: PoolLimits, now: float) -> None:
        self.limits = limits
        self.generation = 1
        self.fork = limits.fork  #: whether workers are forked; once refused, never again
        self.members = Members()
        self.size = Size(limits.scaling, now)
        self.failures = Failures(limits.restart)
        self.stop: Stop | None = None
        self.exit_status = 0
        self.ever_ready = False  #: whether any worker has ever been ready
        self.arrived = False  #: whether a connection woke the arbiter since the last look
        self.journal = Journal()
        self.totals = Totals()

    @property
    def is_leaving(self) -> bool:
        """Whether everybody goes: nothing is started or scaled any more."""
        return self.stop is not None and self.stop.phase is Phase.LEAVING

    def change_limits(self, minimum: int, maximum: int, now: float) -> None:
        """Obey other limits of the size."""
        scaling = replace(self.limits.scaling, minimum=minimum, maximum=maximum)
        self.limits = replace(self.limits, scaling=scaling)
        before = self.size.target
        self.size.change_limits(scaling, now)
        change = Change(before, self.size.target, f"the limits are {minimum} to {maximum} now")
        if change.after != change.before:
            self.note_change(change, now, {"minimum": minimum, "maximum": maximum})

    def may_hold(self, record: WorkerRecord) -> bool:
        """Tell whether the process may hold units, though perhaps it has not said so."""
        if record.state is State.STARTING:
            return self.limits.early_holders and record.loaded
        return record.state in (State.READY, State.DRAINING)

    def learn_capacity(self, capacity: int | None, now: float) -> None:
        """Count on each worker for ``capacity`` units: what it is, only a worker can tell."""
        if capacity is not None and capacity != self.limits.scaling.capacity:
            scaling = replace(self.limits.scaling, capacity=capacity)
            self.limits = replace(self.limits, scaling=scaling)
            self.size.change_limits(scaling, now)

    def count_failure(self, record: WorkerRecord, now: float, reason: str) -> None:
        """Count a failed start of ``record``'s process."""
        self.failures.add(record, now)
        failed = len(self.failures)
        attempt = self.failures.next_attempt(now, give_up=False)
        wait = max((attempt or now) - now, 0.0)
        name = "the mold" if record.slot == MOLD else f"slot {record.slot}"
        self.note(
            "restart",
            now,
            f"{name} failed to start: {reason}; the next attempt is in {wait:.3g} s",
            {"slot": record.slot, "failures": failed, "wait": wait},
        )

    def give_up(self, exit_status: int, now: float, why: str) -> None:
        """End the server, because it makes no sense to go on."""
        if self.is_leaving:
            return
        if self.stop is None:
            self.stop = Stop(until=now + self.limits.graceful_timeout)
            self.exit_status = exit_status  # A stop that was asked for stays one.
        self.stop.leave()
        self.note("stop", now, why, {"exit_status": exit_status})

    def note(self, kind: str, now: float, why: str, inputs: Inputs) -> None:
        """Enter a decision that leaves the target as it is."""
        target = self.size.target
        self.journal.append(
            Decision(at=now, kind=kind, before=target, after=target, why=why, inputs=inputs)
        )

    def note_change(self, change: Change, now: float, inputs: Inputs) -> None:
        """Enter a decision about the target."""
        self.journal.append(
            Decision(
                at=now,
                kind="scale",
                before=change.before,
                after=change.after,
                why=change.why,
                inputs=inputs,
            )
        )
