"""What a worker sees of the others on the scoreboard: who would serve the next client sooner."""

from dataclasses import dataclass
from time import monotonic
from typing import Final

from prefork.ipc.scoreboard import (
    H_USED,
    R_PID,
    R_STATE,
    STATES,
    W_ACTIVE,
    W_LEAVING,
    W_TURN_SINCE,
    Scoreboard,
)

#: Seconds after which a turn that has not ended is taken for a blocked one.
_LONG_TURN: Final = 0.01
_READY: Final = STATES.index("ready")


@dataclass(frozen=True, slots=True)
class Sibling:
    """Another worker of the pool."""

    pid: int
    asleep: bool  #: it has to be woken, or cannot be seen to be awake


class Siblings:
    """The other workers of the pool, as far as it matters who takes a connection."""

    def __init__(self, board: Scoreboard, slot: int) -> None:
        self._slot = slot
        self._header = board.header
        self._active = board.column(W_ACTIVE)
        self._leaving = board.column(W_LEAVING)
        self._turn = board.clock_column(W_TURN_SINCE)
        self._state = board.record_column(R_STATE)
        self._pid = board.record_column(R_PID)

    def idler_than(self, mine: int) -> Sibling | None:
        """Return a worker that is clearly better off with one unit more than we, if any.

        It holds nothing, when we hold two units or more, or at least three less than our ``mine``,
        and a sixteenth; and it does not seem to be blocked.  Of several it is the one that holds
        fewest.
        """
        limit = max(mine - max(mine // 16 + 1, 2), min(mine - 1, 1))  # fewer than so many
        if limit <= 0:
            return None
        active = self._active[: self._header[H_USED]].tolist()
        if min(active) >= limit:
            return None
        count, now = len(active), monotonic()
        # Of equals not always the same: the next one after us.
        near = sorted(
            (held, (slot - self._slot) % count) for slot, held in enumerate(active) if held < limit
        )
        for _, distance in near:
            slot = (self._slot + distance) % count
            if slot != self._slot and self._could_take(slot, now):
                return Sibling(int(self._pid[slot]), asleep=not 0 < self._turn[slot] <= now)
        return None

    def _could_take(self, slot: int, now: float) -> bool:
        # 0 is asleep, and a moment in the future the next beat of a uvloop.
        blocked = 0 < self._turn[slot] <= now - _LONG_TURN
        return bool(not blocked and self._state[slot] == _READY and not self._leaving[slot])
