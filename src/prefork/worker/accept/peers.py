"""What a worker sees of its peers on the scoreboard: which would serve the next client sooner."""

from dataclasses import dataclass
from time import monotonic
from typing import Final

from prefork.core.balance import idler_limit
from prefork.ipc.layout import Header, Record, Row
from prefork.ipc.scoreboard import Scoreboard

#: Seconds after which a turn that has not ended counts as a blocked one.
_LONG_TURN: Final = 0.01
_USED_SLOTS: Final = Header.used_slots.index
_READY: Final = Record.state.number("ready")


@dataclass(frozen=True, slots=True)
class Peer:
    """Another worker of the pool."""

    pid: int
    asleep: bool  #: it has to be woken, or cannot be seen to be awake


class Peers:
    """The other workers of the pool, as far as it matters which of them takes a connection."""

    def __init__(self, scoreboard: Scoreboard, slot: int) -> None:
        self._header = scoreboard.header.words
        self._slot = slot
        self._connections = scoreboard.column(Row.connections)
        self._leaving = scoreboard.column(Row.leaving)
        self._turn = scoreboard.moments(Row.turn_since)
        self._state = scoreboard.column(Record.state)
        self._pid = scoreboard.column(Record.pid)

    def idler_than(self, mine: int) -> Peer | None:
        """Return a worker that is clearly better off with one connection more than we, if any.

        It holds fewer than ``idler_limit(mine)``, and does not seem to be blocked.  Of several it
        is the one that holds fewest.
        """
        limit = idler_limit(mine)
        if limit == 0:
            return None
        connections = self._connections[: self._header[_USED_SLOTS]].tolist()
        if min(connections) >= limit:
            return None
        count, now = len(connections), monotonic()
        # Of equals not always the same: the next one after us.
        near = sorted(
            (held, (slot - self._slot) % count)
            for slot, held in enumerate(connections)
            if held < limit
        )
        for _, distance in near:
            slot = (self._slot + distance) % count
            if slot != self._slot and self._could_take(slot, now):
                return Peer(int(self._pid[slot]), asleep=not 0 < self._turn[slot] <= now)
        return None

    def _could_take(self, slot: int, now: float) -> bool:
        # 0 is asleep, and a moment in the future the next beat of a uvloop.
        blocked = 0 < self._turn[slot] <= now - _LONG_TURN
        return bool(not blocked and self._state[slot] == _READY and not self._leaving[slot])
