"""What is to be done, in the imperative: all that the pool ever asks of the world."""

from msgspec import Struct

from prefork.core.states import Process


class StartMold(Struct, frozen=True):
    """Start the process that imports the target once and forks the workers of a generation."""

    generation: int


class Spawn(Struct, frozen=True):
    """Start a worker: ordered from its generation's mold (``fork``), or a fresh interpreter."""

    slot: int
    generation: int
    fork: bool = False


class CountAsReady(Struct, frozen=True):
    """Take the silent program in ``slot`` for ready: from now on it counts as capacity."""

    slot: int


class Drain(Struct, frozen=True):
    """Ask a process to finish what it holds and to leave."""

    process: Process


class Nudge(Struct, frozen=True):
    """Repeat the wake-up of a draining worker that has not acknowledged yet."""

    slot: int


class Inspect(Struct, frozen=True):
    """Record the incident of a hung process; ``IncidentRecorded`` follows."""

    process: Process


class Abort(Struct, frozen=True):
    """End the hung program in a way that lets it print its stacks; ``Kill`` follows."""

    slot: int


class Kill(Struct, frozen=True):
    """End the process now."""

    process: Process


class StopListening(Struct, frozen=True):
    """Let no new connection be established; queued ones are still accepted."""


Action = StartMold | Spawn | CountAsReady | Drain | Nudge | Inspect | Abort | Kill | StopListening
