"""What is to be done, in the imperative: all that the pool ever asks of the world."""

from dataclasses import dataclass

from prefork.core.states import Process


@dataclass(frozen=True, slots=True)
class StartMold:
    """Start the process that imports the target once and forks the workers of a generation."""

    generation: int


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a worker: ordered from its generation's mold (``fork``), or a fresh interpreter."""

    slot: int
    generation: int
    fork: bool = False


@dataclass(frozen=True, slots=True)
class CountAsReady:
    """Take the silent program in ``slot`` for ready: from now on it counts as capacity."""

    slot: int


@dataclass(frozen=True, slots=True)
class Drain:
    """Ask a process to finish what it holds and to leave."""

    process: Process


@dataclass(frozen=True, slots=True)
class Nudge:
    """Repeat the wake-up of a draining worker that has not acknowledged yet."""

    slot: int


@dataclass(frozen=True, slots=True)
class Inspect:
    """Record the incident of a hung process; ``IncidentRecorded`` follows."""

    process: Process


@dataclass(frozen=True, slots=True)
class Abort:
    """End the hung program in a way that lets it print its stacks; ``Kill`` follows."""

    slot: int


@dataclass(frozen=True, slots=True)
class Kill:
    """End the process now."""

    process: Process


@dataclass(frozen=True, slots=True)
class StopListening:
    """Let no new connection be established; queued ones are still accepted."""


Action = StartMold | Spawn | CountAsReady | Drain | Nudge | Inspect | Abort | Kill | StopListening
