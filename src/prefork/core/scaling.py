"""How many workers there should be. Knows no worker, no history and no clock.

Demand is what is in progress plus what waits in the accept queues (Knative's concurrency, the
listen queue of uWSGI's emergency mode).  The spare floor and the doubling step, at most 32, are
those of Apache's prefork; that the step is bounded by the deficit is php-fpm's; that a starting
worker counts as capacity is Apache's again, and is what keeps a slow boot from overshooting.
"""

from dataclasses import dataclass
from typing import Final

STEP_LIMIT: Final = 32  #: workers added at once, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingLimits:
    """How many workers there may be."""

    minimum: int = 1  #: kept even when idle
    maximum: int = 1  #: never exceeded
    spare: int = 1  #: workers kept ahead of the demand, within the maximum
    scale_down_delay: float = 30.0  #: seconds that a surplus lasts before one worker goes
    capacity: int = 1  #: units that a worker holds at once, as the workers tell

    @property
    def is_fixed(self) -> bool:
        """Whether there is nothing to decide."""
        return self.minimum == self.maximum


def wanted(demand: int, limits: ScalingLimits) -> int:
    """Return how many workers ``demand`` units, in progress or waiting, ask for."""
    if demand == 0 and limits.minimum == 0:
        return 0  # On demand means that not even a spare waits for the first client.
    needed = -(-demand // limits.capacity) + limits.spare
    return min(max(needed, limits.minimum), limits.maximum)


def growth(deficit: int, step: int) -> int:
    """Return how many workers to add now: the ``step``, but never more than are missing."""
    return max(min(deficit, step), 0)


def next_step(step: int) -> int:
    """Return how many workers the step after ``step`` may add, while the deficit lasts."""
    return min(step * 2, STEP_LIMIT)
