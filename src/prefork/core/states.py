"""What a worker can be, and what is remembered of each one."""

import enum
from dataclasses import dataclass
from typing import Final

#: The mold's place in the pool's table; a mold has a record like a worker, but serves nobody.
MOLD: Final = -1


class State(enum.StrEnum):
    """Where a worker is in its life; the steps between are in ``transitions``."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    KILLED = "killed"


class Cause(enum.StrEnum):
    """Why a worker is gone; the words are those of the log."""

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
class WorkerRecord:
    """What the pool knows of a worker, or of the mold.  Moments are seconds on ``now``'s clock."""

    slot: int
    generation: int
    started: float  #: when it was ordered
    since: float  #: when it entered its present state
    state: State = State.STARTING
    ready_at: float = float("inf")  #: when it first became ready
    loaded: bool = False  #: its target is imported
    leaving_for: Cause | None = None  #: why we asked it to go, or killed it
    suspended_at: float | None = None  #: when somebody stopped it with SIGSTOP
    inspected: bool = False  #: an incident was ordered; it is killed in any case
    kill_at: float | None = None  #: it is killed then, if it is still here
    extended_until: float = float("-inf")  #: it has asked for time until then
    nudge_at: float | None = None  #: it is woken again then, unless it acknowledged the drain
    forgiven: tuple[float, ...] = ()  #: the failed starts before it that its success cleared

    @property
    def is_live(self) -> bool:
        """Whether it counts as capacity: ready, or about to be."""
        return self.state in (State.STARTING, State.READY)
