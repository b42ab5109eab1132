"""What the platform is to start, for each kind of child."""

from collections.abc import Sequence

from prefork import worker
from prefork.arbiter.generations import Inheritance
from prefork.ipc import messages
from prefork.platform.base import ForkOrder, SpawnOrder


def mold_order(inheritance: Inheritance, generation: int) -> SpawnOrder:
    """Return the order for the mold of ``generation``."""
    return _spawn_order(inheritance, None, generation, worker.MOLD)


def worker_order(inheritance: Inheritance, slot: int, generation: int) -> SpawnOrder:
    """Return the order for a worker in a fresh interpreter."""
    words = ["--slot", str(slot)]
    words += [word for number in inheritance.listeners for word in ("--listener", str(number))]
    return _spawn_order(inheritance, slot, generation, worker.SPAWNED, words)


def fork_order(slot: int, generation: int, serial: int) -> ForkOrder:
    """Return the order for a worker that a mold forks."""
    line = messages.encode(messages.MoldOrder(slot, generation, serial))
    return ForkOrder(slot=slot, generation=generation, serial=serial, line=line)


def _spawn_order(
    inheritance: Inheritance,
    slot: int | None,
    generation: int,
    module: str,
    words: Sequence[str] = (),
) -> SpawnOrder:
    return SpawnOrder(
        slot=slot,
        generation=generation,
        module=module,
        arguments=[*words, "--plan", str(inheritance.plan)],
        inherited=(inheritance.plan, *inheritance.listeners, *inheritance.shared),
    )
