"""How many workers there should be.

Demand is what is in progress plus what waits in the accept queues (Knative's concurrency, the
listen queue of uWSGI's emergency mode).  The spare floor and the doubling step, at most 32, are
those of Apache's prefork; that the step is bounded by the deficit is php-fpm's; that a starting
worker counts as capacity is Apache's again, and is what keeps a slow boot from overshooting.
Knows no process and no clock.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from prefork.core.actions import Action
from prefork.core.generation import Generation, Members
from prefork.core.journal import Change, Inputs, Journal
from prefork.core.lifecycle import retire
from prefork.core.limits import PoolLimits, ScalingLimits
from prefork.core.rollout import headroom, surplus, to_retire
from prefork.core.snapshot import Look, Snapshot, look_at
from prefork.core.states import State

STEP_LIMIT: Final = 32  #: workers added at once, at most
STEP_EVERY: Final = 0.05  #: seconds between two steps up
HOT_FOR: Final = 0.1  #: seconds from a look that saw traffic to the next one
LOOK_EVERY: Final = 1.0  #: seconds between looks while something is in progress
REST_EVERY: Final = 2.0  #: seconds between looks at a pool at rest that could grow
SHRINK_EVERY: Final = 1.0  #: seconds between two steps down, at most


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


class Scaling:
    """Keeps the target between the limits, and knows when the next look is due."""

    def __init__(self, limits: ScalingLimits, now: float) -> None:
        self.target = wanted(0, limits)
        self.arrived = False  #: whether a connection woke the arbiter since the last look
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

    def decide(
        self, members: Members, snapshot: Snapshot, limits: PoolLimits, journal: Journal
    ) -> list[Action]:
        """Set the target, and have the workers leave that the pool can do without."""
        now, rows, live = snapshot.now, snapshot.rows, members.counted()
        outdated = {record.slot for record in members.outdated()}
        allowed = self.target + headroom(members, limits.surge)
        leaving = surplus(live, rows, allowed, outdated)
        gone = {record.slot for record in leaving}
        staying = [record for record in live if record.slot not in gone]
        # A roll is no time to shrink.
        may_shrink = members.successor is None and not outdated
        look = look_at(
            staying,
            snapshot,
            missing=len(staying) < self.target,
            capacity=self.limits.capacity,
            arrived=self.arrived,
            may_shrink=may_shrink,
        )
        if look is None:
            self.postpone(now)  # No data, no decision.
        else:
            self.arrived = False
            change = self.look(look)
            if change is not None:
                journal.note_change(change, now, self._inputs(look, members))
                leaving += to_retire(staying, rows, self.limits.capacity, change.after)
        return [retire(record, now, limits) for record in leaving]

    def adopt(self, generation: Generation, now: float, journal: Journal) -> None:
        """Count on workers like those of ``generation``, as far as it is known what they are."""
        limits = self.limits
        if generation.capacity is not None:
            limits = replace(limits, capacity=generation.capacity)
        if limits.automatic is not None and generation.is_loop is not None:
            maximum = limits.automatic.of(is_loop=generation.is_loop)
            limits = replace(limits, minimum=min(limits.minimum, maximum), maximum=maximum)
        if limits != self.limits:
            self.obey(limits, now, journal)

    def obey(self, limits: ScalingLimits, now: float, journal: Journal) -> None:
        """Change the limits, and enter in the ``journal`` what that does to the target."""
        before = self.target
        self.change_limits(limits, now)
        if self.target != before:
            why = f"the limits are {limits.minimum} to {limits.maximum} now"
            inputs = {"minimum": limits.minimum, "maximum": limits.maximum}
            journal.note_change(Change(before, self.target, why), now, inputs)

    def _inputs(self, look: Look, members: Members) -> Inputs:
        states = [record.state for record in members.workers.values()]
        return {
            "active": look.active,
            "queued": look.queued,
            "ready": states.count(State.READY),
            "starting": states.count(State.STARTING),
            "capacity": self.limits.capacity,
            "spare": self.limits.spare,
        }

    def watching(self, now: float) -> bool:
        """Whether a connection that arrives could change the target."""
        # At the maximum with all of it wanted, there is nothing more to learn from an arrival;
        # below that, an arrival also shows that what looks like a surplus is in use.
        maximum = self.limits.maximum
        saturated = self._level >= maximum and self.target >= maximum
        return not self.limits.is_fixed and not saturated and now >= self._hot_until

    def look(self, look: Look) -> Change | None:
        """Return how the target changes with what is seen now, if it does."""
        if self.limits.is_fixed:
            return None
        self._level = wanted(look.demand, self.limits)
        self._levels.add(self._level, look.now, self.limits.scale_down_delay)
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
        # No worker serves the first client of an empty pool: it must not wait for a pace.
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
        # The end of long work wakes no process; it matters if it leaves a surplus.
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


class Levels:
    """How many workers were wanted lately: the memory that a surplus is measured against.

    The levels of the last ``delay`` seconds, falling, each with the moment until it held.
    A level holds from one look until the next, for it is unknown when in between it ended; and one
    that is followed by a higher one is forgotten, because only the highest matters.
    """

    def __init__(self, level: int, now: float) -> None:
        self._levels = deque([(now, level)])

    def add(self, level: int, now: float, delay: float) -> None:
        """Note that ``level`` workers are wanted now."""
        self._levels.append((now, self._levels.pop()[1]))
        while self._levels and self._levels[-1][1] <= level:
            self._levels.pop()
        self._levels.append((now, level))
        while self._levels[0][0] + delay <= now and len(self._levels) > 1:
            self._levels.popleft()

    def highest(self) -> int:
        """Return the highest level that still counts."""
        return self._levels[0][1]

    def surplus_since(self, target: int) -> float | None:
        """Return since when fewer than ``target`` were wanted, or None if they are wanted now."""
        held = [until for until, level in self._levels if level >= target]
        if len(held) == len(self._levels):
            return None
        return held[-1] if held else float("-inf")
