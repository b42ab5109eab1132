"""Why a process is gone, from what we asked of it and how it ended."""

from typing import Final

from prefork.core.states import Cause, ExitStatus, State, WorkerRecord

#: Signals that only the program's own mistake sends: a crash, even on the way out.
FAULTS: Final = frozenset({"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT"})

#: Signals that come from somebody else: an operator, a service manager, a test.
FOREIGN: Final = frozenset({"SIGKILL", "SIGTERM"})


def exit_cause(record: WorkerRecord, status: ExitStatus) -> Cause:
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
    record: WorkerRecord, status: ExitStatus, accepted: int | None, now: float, period: float
) -> bool:
    """Tell whether an exit that nobody asked for says that a new worker would fare no better.

    So it is when it came before the worker was ready, and when a worker that was ready for less
    than ``period`` seconds took no connection in its life, unless somebody else ended it.  Where
    nobody knows what it took, it is a failure unless it says by its exit code that all is well.
    """
    if record.leaving_for is Cause.RETIRED:
        return False
    if record.state is State.STARTING:
        return True
    left = record.state is State.DRAINING and record.leaving_for is None  # nobody asked it to
    if not (record.state is State.READY or left) or now >= record.ready_at + period:
        return False
    if status.signal in FOREIGN and not status.out_of_memory:
        return False
    return status.code != 0 if accepted is None else accepted == 0


def is_load_failure(record: WorkerRecord, status: ExitStatus) -> bool:
    """Tell whether the process ended itself before its target was imported."""
    if record.leaving_for is Cause.RETIRED:
        return False
    return record.state is State.STARTING and not record.loaded and status.code is not None
