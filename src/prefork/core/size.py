"""The size that the pool should have: looks at the demand, remembers, and asks ``scaling``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prefork.core.levels import Levels
from prefork.core.scaling import ScalingLimits, growth, next_step, wanted

STEP_EVERY: Final = 0.05  #: seconds between two steps up
HOT_FOR: Final = 0.1  #: seconds from a look that saw traffic to the next one
LOOK_EVERY: Final = 1.0  #: seconds between looks while something is in progress
REST_EVERY: Final = 2.0  #: seconds between looks at a pool at rest that could grow
SHRINK_EVERY: Final = 1.0  #: seconds between two steps down, at most


@dataclass(frozen=True, slots=True)
class Look:
    """What is seen of the demand; only what ready workers hold, and the accept queues."""

    now: float
    active: int  #: units in progress
    queued: int | None  #: connections waiting; None is unknown
    accepted: Mapping[int, int]  #: connections each slot has taken
    can_shrink: bool  #: whether one worker fewer would harm nobody
    arrived: bool = False  #: the arbiter was woken by a connection

    @property
    def demand(self) -> int:
        """Units in progress or waiting."""
        return self.active + (self.queued or 0)


@dataclass(frozen=True, slots=True)
class Change:
    """Another target, and the reason."""

    before: int
    after: int
    why: str


class Size:
    """Keeps the target between the limits, and knows when the next look is due."""

    def __init__(self, limits: ScalingLimits, now: float) -> None:
        self.target = wanted(0, limits)
        self.change_limits(limits, now)

    def change_limits(self, limits: ScalingLimits, now: float) -> None:
        """Obey other limits at once; a surplus within them has to last as ever."""
        self.limits = limits
        self.target = min(max(self.target, limits.minimum), limits.maximum)
        self.next_look: float | None = None if limits.is_fixed else now
        self._level = self.target
        self._levels = Levels(self.target, now)
        self._accepted: Mapping[int, int] = {}
        self._step = 1
        self._stepped_at = self._shrunk_at = self._hot_until = float("-inf")

    def watching(self, now: float) -> bool:
        """Whether a connection that arrives could change the target."""
        # At the maximum with all of it wanted, there is nothing more to learn from an arrival;
        # below that, an arrival also tells that what looks like a surplus is in use.
        saturated = self._level >= self.limits.maximum <= self.target
        return not self.limits.is_fixed and not saturated and now >= self._hot_until

    def look(self, look: Look) -> Change | None:
        """Return how the target changes with what is seen now, if it does."""
        if self.limits.is_fixed:
            return None
        self._level = wanted(look.demand, self.limits)
        self._levels.see(self._level, look.now, self.limits.scale_down_delay)
        if self._is_hot(look):
            self._hot_until = look.now + HOT_FOR
        self._accepted = look.accepted
        before = self.target
        change = self._grown(look) if self._level > before else self._shrunk(look)
        if change is not None:
            self.target = change.after
        self.next_look = self._next_look(look)
        return change

    def postpone(self, now: float) -> None:
        """Look again later, because this time there was not enough to see."""
        if not self.limits.is_fixed:
            self._hot_until = self.next_look = now + HOT_FOR

    def _is_hot(self, look: Look) -> bool:
        rose = any(
            accepted > self._accepted.get(slot, accepted)
            for slot, accepted in look.accepted.items()
        )
        return bool(look.queued) or look.arrived or rose

    def _grown(self, look: Look) -> Change | None:
        # Nobody serves the first client of an empty pool: it must not wait for a pace.
        if self.target and look.now < self._stepped_at + STEP_EVERY:
            return None
        after = self.target + growth(self._level - self.target, self._step)
        self._step = 1 if after == self._level else next_step(self._step)
        self._stepped_at = look.now
        waiting = "an unknown number" if look.queued is None else str(look.queued)
        return Change(
            self.target,
            after,
            f"{_counted(look.active, 'unit')} in progress and {waiting} waiting want "
            f"{_counted(self._level, 'worker')}",
        )

    def _shrunk(self, look: Look) -> Change | None:
        self._step = 1
        due = self._shrink_due()
        # Not twice at one moment, even without any delay.
        if due is None or look.now < due or look.now <= self._shrunk_at or not look.can_shrink:
            return None
        self._shrunk_at = look.now
        return Change(
            self.target,
            self.target - 1,
            f"{_counted(self._levels.highest(), 'worker')} would have been enough for "
            f"{self.limits.scale_down_delay:g} s",
        )

    def _shrink_due(self) -> float | None:
        since = self._levels.surplus_since(self.target)
        if since is None:
            return None
        delay = self.limits.scale_down_delay
        return max(since + delay, self._shrunk_at + min(SHRINK_EVERY, delay))

    def _next_look(self, look: Look) -> float | None:
        now = look.now
        if self._level > self.target:
            return self._stepped_at + STEP_EVERY
        moments = []
        if now < self._hot_until and self._level < self.limits.maximum:
            moments.append(self._hot_until)
        # The end of long work announces itself to nobody; it matters if it leaves a surplus.
        if look.demand and self.target > wanted(0, self.limits):
            moments.append(now + LOOK_EVERY)
        # Nor does a connection that an idle worker takes before the arbiter wakes, which is how
        # the spare ones are used up.
        if self.limits.spare and self.target and self._level < self.limits.maximum:
            moments.append(now + (LOOK_EVERY if look.demand else REST_EVERY))
        due = self._shrink_due()
        if due is not None:
            moments.append(due if due > now else now + LOOK_EVERY)
        return min(moments, default=None)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
