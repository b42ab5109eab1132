"""How many workers were wanted lately: the memory that a surplus is measured against."""

from collections import deque


class Levels:
    """The levels of the last ``delay`` seconds, falling, each with the moment until it held.

    A level holds from one look until the next, for nobody knows when in between it ended; and one
    that is followed by a higher one is forgotten, because only the highest matters.
    """

    def __init__(self, level: int, now: float) -> None:
        self._levels = deque([(now, level)])

    def see(self, level: int, now: float, delay: float) -> None:
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
