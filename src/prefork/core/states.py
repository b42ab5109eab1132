"""What a process of the pool can be, and what is remembered of each one."""

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mold:
    """The name of a generation's mold, where a worker has its slot.

    Most of what happens to a process, and most of what can be ordered, is the same for both: both
    are loaded, suspended, inspected and killed.  So such an event or action names a *process*:
    the slot of a worker, or the mold of a generation.  Where the two differ, each has its own
    event or action (``WorkerReady`` and ``MoldReady``, ``Spawn`` and ``StartMold``).
    """

    generation: int


#: The name of a process: a worker's slot, or a mold.
Process = int | Mold


class State(enum.StrEnum):
    """Where a process is in its life; the steps between are in ``lifecycle``."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    KILLED = "killed"


class Phase(enum.StrEnum):
    """Where a generation is in its life; the steps between are in ``rollout``."""

    STARTING = "starting"  #: none of its workers has been ready; the old generation serves
    SOAKING = "soaking"  #: its first worker is ready, and has to live for a while
    ROLLING = "rolling"  #: it is trusted: its workers replace those of the old generation
    CURRENT = "current"  #: it serves, alone or with its successor's first worker
    RETIRING = "retiring"  #: it starts nothing any more; its last workers leave


class Cause(enum.StrEnum):
    """Why a process is gone; the words are those of the log."""

    STOPPED = "stopped"
    RETIRED = "retired"
    CRASHED = "crashed"
    HUNG = "hung"
    OUT_OF_MEMORY = "out of memory"
    FAILED_TO_START = "failed to start"


class ServerState(enum.StrEnum):
    """Where the whole server is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitStatus:
    """How a process ended: by its own exit code, or by a signal (named, as in ``SIGKILL``)."""

    code: int | None = None
    signal: str | None = None
    out_of_memory: bool = False  #: its cgroup counted a kill for want of memory

    def __str__(self) -> str:
        return self.signal or f"exit {self.code}"


@dataclass(slots=True, kw_only=True)
class ProcessRecord:
    """What the pool knows of a process.  Moments are seconds on ``now``'s clock."""

    generation: int
    started: float  #: when it was ordered
    since: float  #: when it entered its present state
    state: State = State.STARTING
    ready_at: float = float("inf")  #: when it first became ready
    loaded: bool = False  #: its target is imported
    leaving_for: Cause | None = None  #: why we asked it to go, or killed it
    suspended_at: float | None = None  #: when it was stopped with SIGSTOP
    inspected: bool = False  #: an incident was ordered; it is killed in any case
    kill_at: float | None = None  #: it is killed then, if it is still here
    extended_until: float = float("-inf")  #: it has asked for time until then

    @property
    def is_live(self) -> bool:
        """Whether it counts as capacity: ready, or about to be."""
        return self.state in (State.STARTING, State.READY)


@dataclass(slots=True, kw_only=True)
class MoldRecord(ProcessRecord):
    """What the pool knows of the mold of a generation."""

    @property
    def process(self) -> Process:
        """What events and actions name it by."""
        return Mold(self.generation)

    def __str__(self) -> str:
        return "the mold"


@dataclass(slots=True, kw_only=True)
class WorkerRecord(ProcessRecord):
    """What the pool knows of a worker."""

    slot: int
    nudge_at: float | None = None  #: it is woken again then, unless it acknowledged the drain
    reported: bool = False  #: it is a program that has notified us, so it reports ready itself
    assumed_ready_at: float | None = None  #: it is a silent program that counts as ready then
    cleared: tuple[float, ...] = ()  #: the failed starts before it that its success cleared

    @property
    def process(self) -> Process:
        """What events and actions name it by."""
        return self.slot

    def __str__(self) -> str:
        return f"slot {self.slot}"


#: The record of any process.
Record = WorkerRecord | MoldRecord
