"""What the pool sees of the world at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a worker reports of itself on the scoreboard."""

    connections: int = 0  #: held, whether or not anything is in progress on them
    active: int = 0  #: units in progress
    busy_since: float | None = None  #: start of the oldest of them, where a unit has to end
    stuck_since: float | None = None  #: its event loop has not gone round since, and should have
    leaving: bool = False  #: it has acknowledged the drain
    accepted: int = 0  #: connections taken so far; only its rising matters
    is_known: bool = True  #: whether anybody has ever told what it holds


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look at everything: a row for each worker, and how many connections wait."""

    now: float
    rows: Mapping[int, Row]
    queued: int | None = None  #: connections waiting at all listeners; None is unknown
