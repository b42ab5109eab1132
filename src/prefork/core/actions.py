"""What is to be done, in the imperative: all that the pool ever asks of the world."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StartMold:
    """Start the process that imports the target once and forks the workers."""

    generation: int


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a worker: ordered from the mold (``fork``), or as a fresh interpreter."""

    slot: int
    generation: int
    fork: bool = False


@dataclass(frozen=True, slots=True)
class Drain:
    """Ask a worker, or the mold, to finish what it holds and to leave."""

    slot: int


@dataclass(frozen=True, slots=True)
class Nudge:
    """Repeat the wake-up of a draining worker that has not acknowledged yet."""

    slot: int


@dataclass(frozen=True, slots=True)
class Inspect:
    """Record the incident of a hung worker; ``IncidentRecorded`` follows."""

    slot: int


@dataclass(frozen=True, slots=True)
class Kill:
    """End the process now."""

    slot: int


@dataclass(frozen=True, slots=True)
class StopListening:
    """Let no new connection be established; queued ones are still accepted."""


Action = StartMold | Spawn | Drain | Nudge | Inspect | Kill | StopListening
