"""What was decided, when and why: the memory behind ``prefork why``."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LENGTH: Final = 200  #: decisions remembered

Inputs = Mapping[str, float | int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One decision with the numbers that it was made from."""

    at: float
    kind: str  #: "scale", "restart", "hang", "start method" or "stop"
    before: int  #: the pool's target before …
    after: int  #: … and after it; the same unless the kind is "scale"
    why: str  #: one sentence
    inputs: Inputs


class Journal(deque[Decision]):
    """The latest decisions, oldest first."""

    def __init__(self) -> None:
        super().__init__(maxlen=LENGTH)
        self.total = 0  #: decisions ever made, so that a reader knows how many are new

    def append(self, decision: Decision) -> None:
        """Add the newest decision."""
        super().append(decision)
        self.total += 1

    def since(self, total: int) -> list[Decision]:
        """Return the decisions made after ``total`` had been made, as far as remembered."""
        new = min(self.total - total, len(self))
        return list(self)[len(self) - new :]
