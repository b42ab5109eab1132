"""What happened, in the past tense: all that the pool ever learns of the world."""

from msgspec import Struct

from prefork.core.states import ExitStatus, Process


class TargetLoaded(Struct, frozen=True):
    """A process has imported its target; it is not ready yet."""

    process: Process


class LoadFailed(Struct, frozen=True):
    """The target cannot be loaded; the process ends by itself."""

    process: Process
    reason: str


class SpawnFailed(Struct, frozen=True):
    """The ordered process does not exist: the system refused it, or the mold died before it."""

    process: Process
    reason: str


class ForkRefused(Struct, frozen=True):
    """The mold has loaded the target but must not be forked: its import started threads."""

    generation: int
    reason: str


class MoldReady(Struct, frozen=True):
    """The mold of a generation can fork; None is what it does not know."""

    generation: int
    capacity: int | None = None  #: units that a worker can hold at once
    is_loop: bool | None = None  #: whether workers run an event loop


class WorkerReady(Struct, frozen=True):
    """A worker serves now; None is what it does not know."""

    slot: int
    capacity: int | None = None  #: units that it can hold at once
    is_loop: bool | None = None  #: whether it runs an event loop


class ProgramRuns(Struct, frozen=True):
    """The process in ``slot`` has become the program, which may never report anything."""

    slot: int


class ProgramReported(Struct, frozen=True):
    """The program in ``slot`` has notified us of something, so it will report ready itself."""

    slot: int


class WorkerLeaving(Struct, frozen=True):
    """A worker takes no more and is about to end, though it was not asked to."""

    slot: int


class TimeExtended(Struct, frozen=True):
    """What the worker does now, start, work or end, may take until ``until``."""

    slot: int
    until: float


class WorkerExited(Struct, frozen=True):
    """A worker process is gone, for whatever reason."""

    slot: int
    status: ExitStatus
    accepted: int | None = 0  #: connections it took in its whole life; None is unknown


class MoldExited(Struct, frozen=True):
    """The mold of a generation is gone, for whatever reason."""

    generation: int
    status: ExitStatus


class ProcessSuspended(Struct, frozen=True):
    """The process was stopped by a signal (SIGSTOP)."""

    process: Process


class ProcessResumed(Struct, frozen=True):
    """The stopped process continues (SIGCONT)."""

    process: Process


class IncidentRecorded(Struct, frozen=True):
    """What there is to know about a hung process is on disk; it may be killed."""

    process: Process


class ConnectionArrived(Struct, frozen=True):
    """A listener became readable while the pool was watching; a worker may have been faster."""


class LimitsChanged(Struct, frozen=True):
    """The operator wants other limits of the pool's size."""

    minimum: int
    maximum: int


class ReloadRequested(Struct, frozen=True):
    """A new generation of workers shall replace the present one."""


class StopRequested(Struct, frozen=True):
    """The server shall end: gracefully, or with every process killed at once."""

    at_once: bool = False


Event = (
    TargetLoaded
    | LoadFailed
    | SpawnFailed
    | ForkRefused
    | MoldReady
    | WorkerReady
    | ProgramRuns
    | ProgramReported
    | WorkerLeaving
    | TimeExtended
    | WorkerExited
    | MoldExited
    | ProcessSuspended
    | ProcessResumed
    | IncidentRecorded
    | ConnectionArrived
    | LimitsChanged
    | ReloadRequested
    | StopRequested
)

#: What only changes what is known of one process.
AboutProcess = TargetLoaded | ProcessSuspended | ProcessResumed
#: What only changes what is known of one worker.
AboutWorker = ProgramRuns | ProgramReported | TimeExtended
