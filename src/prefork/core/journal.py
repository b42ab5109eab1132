"""What was decided, when and why: the memory behind ``prefork why``; and what was counted."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prefork.core.states import Cause

LENGTH: Final = 200  #: decisions remembered

CRASHES: Final = frozenset({Cause.CRASHED, Cause.OUT_OF_MEMORY})

Inputs = Mapping[str, float | int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One decision with the numbers that it was made from."""

    at: float
    kind: str  #: "scale", "restart", "hang", "start method", "reload" or "stop"
    before: int  #: the pool's target before …
    after: int  #: … and after it; the same unless the kind is "scale"
    why: str  #: one sentence
    inputs: Inputs


@dataclass(frozen=True, slots=True)
class Change:
    """Another target, and the reason."""

    before: int
    after: int
    why: str


class Journal(deque[Decision]):
    """The latest decisions, oldest first."""

    def __init__(self, target: int = 0) -> None:
        super().__init__(maxlen=LENGTH)
        self.total = 0  #: decisions ever made, so that a reader knows how many are new
        self._target = target

    def append(self, decision: Decision) -> None:
        """Add the newest decision."""
        super().append(decision)
        self.total += 1

    def note(self, kind: str, now: float, why: str, inputs: Inputs) -> None:
        """Enter a decision that leaves the target as it is."""
        target = self._target
        self.append(
            Decision(at=now, kind=kind, before=target, after=target, why=why, inputs=inputs)
        )

    def note_change(self, change: Change, now: float, inputs: Inputs) -> None:
        """Enter a decision about the target."""
        before, self._target = change.before, change.after
        self.append(
            Decision(
                at=now,
                kind="scale",
                before=before,
                after=change.after,
                why=change.why,
                inputs=inputs,
            )
        )

    def since(self, total: int) -> list[Decision]:
        """Return the decisions made after ``total`` had been made, as far as remembered."""
        new = min(self.total - total, len(self))
        return list(self)[len(self) - new :]


@dataclass(slots=True)
class Totals:
    """Counts of workers since the server started, and of reloads that were finished."""

    spawned: int = 0  #: ordered
    exited: int = 0  #: gone, for whatever reason
    crashed: int = 0  #: of these: died unasked while ready
    hung: int = 0  #: of these: killed because they were hung
    reloads: int = 0

    def count_exit(self, cause: Cause) -> None:
        """Count a worker that is gone."""
        self.exited += 1
        self.crashed += cause in CRASHES
        self.hung += cause is Cause.HUNG
