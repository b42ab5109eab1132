"""What happened, in the past tense: all that the pool ever hears of the world."""

from dataclasses import dataclass

from prefork.core.states import ExitStatus


@dataclass(frozen=True, slots=True)
class TargetLoaded:
    """A worker, or the mold, has imported its target; it is not ready yet."""

    slot: int


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """A worker says that it serves now; the mold, that it can fork."""

    slot: int
    capacity: int | None = None  #: units that a worker can hold at once; None is "as before"


@dataclass(frozen=True, slots=True)
class WorkerLeaving:
    """A worker says that it takes no more and is about to end, though nobody asked it to."""

    slot: int


@dataclass(frozen=True, slots=True)
class TimeExtended:
    """A process says that what it does now, start, work or end, may take until ``until``."""

    slot: int
    until: float


@dataclass(frozen=True, slots=True)
class WorkerExited:
    """A worker process is gone, for whatever reason."""

    slot: int
    status: ExitStatus
    accepted: int | None = 0  #: connections it took in its whole life; None is unknown


@dataclass(frozen=True, slots=True)
class WorkerSuspended:
    """Somebody stopped the process (SIGSTOP)."""

    slot: int


@dataclass(frozen=True, slots=True)
class WorkerResumed:
    """Somebody let the stopped process go on (SIGCONT)."""

    slot: int


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The target cannot be loaded; the process ends by itself."""

    slot: int
    reason: str


@dataclass(frozen=True, slots=True)
class ForkRefused:
    """The mold has loaded the target but must not be forked: its import started threads."""

    reason: str


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """The ordered process does not exist: the system refused it, or the mold died before it."""

    slot: int
    reason: str


@dataclass(frozen=True, slots=True)
class IncidentRecorded:
    """What there is to know about a hung worker is on disk; it may be killed."""

    slot: int


@dataclass(frozen=True, slots=True)
class ConnectionArrived:
    """A listener became readable while the pool was watching; a worker may have been faster."""


@dataclass(frozen=True, slots=True)
class LimitsChanged:
    """The operator wants other limits of the pool's size."""

    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class StopRequested:
    """The server shall end: gracefully, or with everybody killed at once."""

    at_once: bool = False


Event = (
    TargetLoaded
    | WorkerReady
    | WorkerLeaving
    | TimeExtended
    | WorkerExited
    | WorkerSuspended
    | WorkerResumed
    | LoadFailed
    | ForkRefused
    | SpawnFailed
    | IncidentRecorded
    | ConnectionArrived
    | LimitsChanged
    | StopRequested
)
