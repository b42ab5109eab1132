"""All that the operator has settled about the pool, and what ``auto`` means where it was left open.

Knows no worker, no history and no clock.
"""

from dataclasses import dataclass, field
from typing import Final

from prefork.core.restart import RestartLimits

#: Blocking workers wait most of the time, so there may be more of them than CPUs.
BLOCKING_PER_CPU: Final = 4


@dataclass(frozen=True, slots=True)
class AutomaticMaximum:
    """How many workers ``workers = auto`` stands for: which of the two depends on the kind."""

    blocking: int
    event_loop: int

    def of(self, *, is_loop: bool) -> int:
        """Return the maximum for workers that run an event loop, or that do not."""
        return self.event_loop if is_loop else self.blocking


def automatic_maximum(cpus: int, most: int | None = None) -> AutomaticMaximum:
    """Return what ``workers = auto`` stands for with ``cpus``.

    ``most`` is how many workers the platform can have at all; None is no such limit.
    """
    blocking, event_loop = BLOCKING_PER_CPU * cpus, cpus
    if most is not None:
        blocking, event_loop = min(blocking, most), min(event_loop, most)
    return AutomaticMaximum(blocking, event_loop)


def accept_mode(setting: str, listeners: int, *, is_program: bool, kernel_wakes_one: bool) -> str:
    """Return how workers accept: ``blocking``, ``exclusive``, ``mutex`` or ``program``.

    For one listener nothing is cheaper or fairer than to block in accept(2); for several,
    workers must wait for all at once.  Where the system does not wake one worker at a time, and
    where a blocked worker would not learn of the arbiter's death, they take turns by a mutex.
    Measured in the decision record on accepting.  A foreign program accepts in its own way, and
    gets listeners that block, as systemd hands them over.
    """
    if is_program:
        return "program"
    if setting != "auto":
        return setting
    if not kernel_wakes_one:
        return "mutex"
    return "blocking" if listeners == 1 else "exclusive"


def accept_mode_of_kind(mode: str, *, is_loop: bool) -> str:
    """Return how workers of a kind accept where ``mode`` was chosen before it was known.

    An event loop cannot block in accept(2): it waits in its own selector.
    """
    return "exclusive" if is_loop and mode == "blocking" else mode


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingLimits:
    """How many workers there may be."""

    minimum: int = 1  #: kept even when idle
    maximum: int = 1  #: never exceeded
    spare: int = 1  #: workers kept ahead of the demand, within the maximum
    scale_down_delay: float = 30.0  #: seconds that a surplus lasts before one worker goes
    capacity: int = 1  #: units that a worker holds at once, as the workers report
    automatic: AutomaticMaximum | None = None  #: of the maximum; None if it was chosen

    @property
    def is_fixed(self) -> bool:
        """Whether there is nothing to decide."""
        return self.minimum == self.maximum


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """How many workers, how they are started, and how long each may take.  Times in seconds."""

    scaling: ScalingLimits = field(default_factory=ScalingLimits)
    restart: RestartLimits = field(default_factory=RestartLimits)
    boot_timeout: float = 60.0  #: from the order to ready; 0 is for ever
    timeout: float = 30.0  #: one unit of work, or suspended; 0 is for ever
    graceful_timeout: float = 30.0  #: from the drain to the end
    early_holders: bool = False  #: a worker may hold something before it reports ready
    ready_after: float = 0.0  #: a program that reports nothing counts as ready then; 0 is never
    abort_patience: float = 0.0  #: from ``Abort`` to ``Kill`` of a hung program; 0 is no ``Abort``
    fork: bool = False  #: workers are forked from a mold
    starting_at_once: int = 8  #: workers that boot at the same time, at most
    surge: int = 1  #: successors started ahead of those they replace, at most
    soak: float = 1.0  #: from the first ready worker of a new generation until it is trusted
