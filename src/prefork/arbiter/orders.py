"""What the platform is told to start, for each kind of child."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prefork import worker
from prefork.arbiter.programs.settings import Conduct
from prefork.ipc import messages
from prefork.platform.base import ForkOrder, SpawnOrder


@dataclass(frozen=True, slots=True)
class Birth:
    """What every child is born with, and where what is found out about its end is written."""

    plan: int  #: number
    listeners: Sequence[int]  #: numbers
    shared: Sequence[int]  #: numbers of what else each of our own processes inherits
    incidents: Path | None  #: directory
    conduct: Conduct | None = None  #: how programs are treated; None if the workers are ours


def mold_order(birth: Birth, generation: int) -> SpawnOrder:
    """Return the order for the mold of ``generation``."""
    return _ours(birth, None, generation, worker.MOLD)


def worker_order(birth: Birth, slot: int, generation: int) -> SpawnOrder:
    """Return the order for a worker in a fresh interpreter."""
    words = ["--slot", str(slot)]
    words += [word for number in birth.listeners for word in ("--listener", str(number))]
    return _ours(birth, slot, generation, worker.SPAWNED, words)


def fork_order(slot: int, generation: int, serial: int) -> ForkOrder:
    """Return the order for a worker that a mold forks."""
    line = messages.encode(messages.ForkOrder(slot, generation, serial))
    return ForkOrder(slot=slot, generation=generation, serial=serial, line=line)


def _ours(
    birth: Birth, slot: int | None, generation: int, module: str, words: Sequence[str] = ()
) -> SpawnOrder:
    return SpawnOrder(
        slot=slot,
        generation=generation,
        module=module,
        arguments=[*words, "--plan", str(birth.plan)],
        inherited=(birth.plan, *birth.listeners, *birth.shared),
    )
