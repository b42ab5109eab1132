"""What happened, in the past tense: all that the pool ever learns of the world."""

from dataclasses import dataclass

from prefork.core.states import ExitStatus, Process


@dataclass(frozen=True, slots=True)
class TargetLoaded:
    """A process has imported its target; it is not ready yet."""

    process: Process


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The target cannot be loaded; the process ends by itself."""

    process: Process
    reason: str


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """The ordered process does not exist: the system refused it, or the mold died before it."""

    process: Process
    reason: str


@dataclass(frozen=True, slots=True)
class ForkRefused:
    """The mold has loaded the target but must not be forked: its import started threads."""

    generation: int
    reason: str


@dataclass(frozen=True, slots=True)
class MoldReady:
    """The mold of a generation can fork; None is what it does not know."""

    generation: int
    capacity: int | None = None  #: units that a worker can hold at once
    is_loop: bool | None = None  #: whether workers run an event loop


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """A worker serves now; None is what it does not know."""

    slot: int
    capacity: int | None = None  #: units that it can hold at once
    is_loop: bool | None = None  #: whether it runs an event loop


@dataclass(frozen=True, slots=True)
class ProgramRuns:
    """The process in ``slot`` has become the program, which may never report anything."""

    slot: int


@dataclass(frozen=True, slots=True)
class ProgramReported:
    """The program in ``slot`` has notified us of something, so it will report ready itself."""

    slot: int


@dataclass(frozen=True, slots=True)
class WorkerLeaving:
    """A worker takes no more and is about to end, though it was not asked to."""

    slot: int


@dataclass(frozen=True, slots=True)
class TimeExtended:
    """What the worker does now, start, work or end, may take until ``until``."""

    slot: int
    until: float


@dataclass(frozen=True, slots=True)
class WorkerExited:
    """A worker process is gone, for whatever reason."""

    slot: int
    status: ExitStatus
    accepted: int | None = 0  #: connections it took in its whole life; None is unknown


@dataclass(frozen=True, slots=True)
class MoldExited:
    """The mold of a generation is gone, for whatever reason."""

    generation: int
    status: ExitStatus


@dataclass(frozen=True, slots=True)
class ProcessSuspended:
    """The process was stopped by a signal (SIGSTOP)."""

    process: Process


@dataclass(frozen=True, slots=True)
class ProcessResumed:
    """The stopped process continues (SIGCONT)."""

    process: Process


@dataclass(frozen=True, slots=True)
class IncidentRecorded:
    """What there is to know about a hung process is on disk; it may be killed."""

    process: Process


@dataclass(frozen=True, slots=True)
class ConnectionArrived:
    """A listener became readable while the pool was watching; a worker may have been faster."""


@dataclass(frozen=True, slots=True)
class LimitsChanged:
    """The operator wants other limits of the pool's size."""

    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class ReloadRequested:
    """A new generation of workers shall replace the present one."""


@dataclass(frozen=True, slots=True)
class StopRequested:
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
