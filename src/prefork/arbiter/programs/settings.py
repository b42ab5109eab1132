"""What the arbiter knows of how the workers' program is to be run."""

from collections.abc import Sequence
from dataclasses import dataclass

from prefork.settings import Settings


@dataclass(frozen=True, slots=True)
class Conduct:
    """How programs are started and treated."""

    settings: Settings
    plan: int  #: number
    inherited: Sequence[int]  #: the listeners' numbers, in the order of their addresses
    shared: Sequence[int]  #: numbers of what else each of our own processes inherits
    port: int | None  #: of the first listener that has one


def conduct_of(
    settings: Settings,
    plan: int,
    inherited: Sequence[int] = (),
    shared: Sequence[int] = (),
    port: int | None = None,
) -> Conduct | None:
    """Return how ``settings`` want programs treated; None if the workers are no programs."""
    if not settings.facts.foreign_programs:
        return None
    return Conduct(settings, plan, inherited, shared, port)
