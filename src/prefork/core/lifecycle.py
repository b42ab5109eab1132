"""The steps of a process's life, every one of them, and why a process is gone.

Knows no policy: nothing here decides that a process has to leave.
"""

from typing import Final

from prefork.core.actions import Abort, Action, CountAsReady, Drain, Kill
from prefork.core.events import (
    AboutProcess,
    AboutWorker,
    MoldReady,
    ProcessSuspended,
    ProgramReported,
    TargetLoaded,
    TimeExtended,
    WorkerLeaving,
    WorkerReady,
)
from prefork.core.limits import PoolLimits
from prefork.core.states import Cause, ExitStatus, Record, State, WorkerRecord

#: Every legal step, one a line; anything else is a bug and a KeyError.
TRANSITIONS: Final[dict[tuple[State, type], State]] = {
    (State.STARTING, WorkerReady): State.READY,
    (State.STARTING, MoldReady): State.READY,
    (State.STARTING, CountAsReady): State.READY,
    (State.STARTING, Drain): State.DRAINING,  # a mold, or an early holder
    (State.STARTING, Abort): State.KILLED,
    (State.STARTING, Kill): State.KILLED,
    (State.READY, Drain): State.DRAINING,
    (State.READY, WorkerLeaving): State.DRAINING,
    (State.READY, Abort): State.KILLED,
    (State.READY, Kill): State.KILLED,
    (State.DRAINING, WorkerReady): State.DRAINING,  # sent before it read our order
    (State.DRAINING, MoldReady): State.DRAINING,  # the same
    (State.DRAINING, Abort): State.KILLED,
    (State.DRAINING, Kill): State.KILLED,
    (State.KILLED, WorkerReady): State.KILLED,  # sent before our signal reached it
    (State.KILLED, MoldReady): State.KILLED,  # the same
    (State.KILLED, Kill): State.KILLED,  # it was aborted before
}

NUDGE_EVERY: Final = 0.05  #: seconds between the wake-ups of a draining worker without an answer

#: Signals that only the program's own mistake sends: a crash, even on the way out.
FAULTS: Final = frozenset({"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT"})

#: Signals that others send: an operator, a service manager, a test.
FOREIGN: Final = frozenset({"SIGKILL", "SIGTERM"})


def advance(record: Record, step: type, now: float) -> None:
    """Take ``record`` over the ``step``, an event's or an action's type.

    Raises KeyError when there is no such step from its state.
    """
    after = TRANSITIONS[record.state, step]
    if after is not record.state:
        record.state = after
        record.since = now
    if after is State.READY:
        record.ready_at = min(record.ready_at, now)


def note(record: Record, event: AboutProcess, now: float) -> None:
    """Take note of what happened to a process that goes on."""
    if isinstance(event, TargetLoaded):
        record.loaded = True
    else:
        record.suspended_at = now if isinstance(event, ProcessSuspended) else None


def note_worker(record: WorkerRecord, event: AboutWorker, now: float, limits: PoolLimits) -> None:
    """Take note of what a worker that is a program, or its launcher, has reported."""
    if isinstance(event, TimeExtended):
        record.extended_until = max(record.extended_until, event.until)
    elif isinstance(event, ProgramReported):
        record.reported, record.assumed_ready_at = True, None
    elif limits.ready_after and not record.reported:
        record.assumed_ready_at = now + limits.ready_after


def doom(record: Record, now: float) -> None:
    """Have a process killed now whose incident is recorded, unless it is on its way already.

    Even if it has recovered: its incident says that it was killed, and it may well hang again.
    """
    if record.state is not State.KILLED:
        record.kill_at = now


def leave(record: WorkerRecord, now: float, until: float) -> None:
    """Note that the worker leaves by its own decision, to be gone by ``until``."""
    advance(record, WorkerLeaving, now)
    record.kill_at = until


def drain(record: Record, cause: Cause, now: float, until: float | None) -> Drain:
    """Have the process finish and leave, and be killed at ``until``.

    With None it may take the time that its units take.
    """
    advance(record, Drain, now)
    record.leaving_for = record.leaving_for or cause
    if until is not None:
        record.kill_at = until if record.kill_at is None else min(record.kill_at, until)
    if isinstance(record, WorkerRecord):
        record.nudge_at = now + NUDGE_EVERY
    return Drain(record.process)


def kill(record: Record, cause: Cause, now: float, abort_patience: float = 0.0) -> Kill | Abort:
    """Have the process killed; the first reason to leave stays the cause.

    A hung program that could still run is aborted first, and has ``abort_patience`` seconds to
    print its stacks; 0 is for a system, or for workers, with no way to ask for them.
    """
    record.leaving_for = record.leaving_for or cause
    if isinstance(record, WorkerRecord):
        record.nudge_at = None
    can_print = record.inspected and record.suspended_at is None and abort_patience > 0.0
    if can_print and isinstance(record, WorkerRecord) and record.state is not State.KILLED:
        advance(record, Abort, now)
        record.kill_at = now + abort_patience
        return Abort(record.slot)
    advance(record, Kill, now)
    record.kill_at = None
    return Kill(record.process)


def retire(record: WorkerRecord, now: float, limits: PoolLimits) -> Action:
    """Have a worker leave that the pool can do without."""
    if not may_hold(record, early_holders=limits.early_holders):
        return kill(record, Cause.RETIRED, now)
    # Long-lived connections may drain without a limit: the others have room for new ones.
    patient = limits.scaling.capacity > 1
    return drain(record, Cause.RETIRED, now, None if patient else now + limits.graceful_timeout)


def may_hold(record: Record, *, early_holders: bool) -> bool:
    """Return whether the process may hold units, though perhaps it has not reported them."""
    if record.state is State.STARTING:
        return early_holders and record.loaded
    return record.state in (State.READY, State.DRAINING)


def exit_cause(record: Record, status: ExitStatus) -> Cause:
    """Return why the process of ``record`` ended with ``status``."""
    if record.state is State.KILLED:
        # Our own kill is never a crash, and never the cgroup's.
        return record.leaving_for or Cause.STOPPED
    if status.out_of_memory:
        return Cause.OUT_OF_MEMORY
    if record.state is State.STARTING:
        return record.leaving_for or Cause.FAILED_TO_START
    if record.state is State.DRAINING and status.signal not in FAULTS:
        return record.leaving_for or Cause.STOPPED
    return Cause.CRASHED


def is_failed_start(
    record: Record, status: ExitStatus, accepted: int | None, now: float, period: float
) -> bool:
    """Return whether the exit counts as a failed start: a new worker would end in the same way.

    It does if it came before the worker was ready, and if a worker that was ready for less
    than ``period`` seconds took no connection in its life, unless a signal of others ended it.
    Where it is unknown what it took, it is a failure unless its exit code reports success.
    """
    if record.leaving_for is Cause.RETIRED:
        return False
    if record.state is State.STARTING:
        return True
    left = record.state is State.DRAINING and record.leaving_for is None  # it was not asked to
    if not (record.state is State.READY or left) or now >= record.ready_at + period:
        return False
    if status.signal in FOREIGN and not status.out_of_memory:
        return False
    return status.code != 0 if accepted is None else accepted == 0


def is_load_failure(record: Record, status: ExitStatus) -> bool:
    """Return whether the process ended itself before its target was imported."""
    if record.leaving_for is Cause.RETIRED:
        return False
    return record.state is State.STARTING and not record.loaded and status.code is not None
