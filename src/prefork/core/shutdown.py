"""The server's end: no new connection, then every process leaves.  Knows no clock."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from prefork.core.actions import Action, StopListening
from prefork.core.lifecycle import drain, kill, may_hold
from prefork.core.limits import PoolLimits
from prefork.core.states import Cause, Record, State

LOOK_EVERY: Final = 0.01  #: seconds between looks at the accept queues that are to become empty


class StopPhase(enum.Enum):
    """How far the end has come."""

    ANNOUNCED = enum.auto()  #: asked for; clients can still connect
    EMPTYING = enum.auto()  #: nothing new can connect; what is queued is still accepted
    LEAVING = enum.auto()  #: every process was asked to leave


@dataclass(slots=True)
class Shutdown:
    """The end that the server is coming to."""

    until: float  #: a process that is still here then is killed
    empty_until: float = float("inf")  #: the accept queues have time until then
    phase: StopPhase = StopPhase.ANNOUNCED
    at_once: bool = False
    next_look: float | None = None

    @classmethod
    def requested(cls, now: float, graceful_timeout: float) -> "Shutdown":
        """Return the stop that was asked for now."""
        # Half of the time is left to the workers that then have to finish what they hold.
        return cls(until=now + graceful_timeout, empty_until=now + graceful_timeout / 2)

    @property
    def is_leaving(self) -> bool:
        """Whether every process is to leave."""
        return self.phase is StopPhase.LEAVING

    def advance(self, queued: int | None, now: float) -> list[Action]:
        """Go on to the moment when no connection waits any more."""
        if self.phase is StopPhase.ANNOUNCED:
            self._close(now)
            return [StopListening()]
        if self.phase is StopPhase.EMPTYING:
            self._look(queued, now)
        return []

    def leave(self) -> None:
        """Enter the last phase: every process leaves."""
        self.phase = StopPhase.LEAVING
        self.next_look = None

    def orders(self, records: Iterable[Record], now: float, limits: PoolLimits) -> list[Action]:
        """Ask every process to leave, in the last phase, and kill those whose time is up."""
        orders: list[Action] = []
        for record in records if self.is_leaving else ():
            if record.state is State.KILLED:
                continue
            due = now >= max(self.until, record.extended_until)
            # A worker that is still starting holds nothing: there is nothing to finish.
            holds = may_hold(record, early_holders=limits.early_holders)
            if self.at_once or due or (record.state is State.STARTING and not holds):
                orders.append(kill(record, Cause.STOPPED, now, limits.abort_patience))
            elif record.is_live:
                orders.append(drain(record, Cause.STOPPED, now, self.until))
            elif record.kill_at is None or record.kill_at > self.until:
                record.kill_at = self.until  # Retired before, with more time or all time.
        return orders

    def _close(self, now: float) -> None:
        """Enter the phase in which the accept queues run empty, if there is time for it."""
        if now >= self.until:
            self.leave()
            return
        self.phase = StopPhase.EMPTYING
        # The snapshot of now is older than the closing: it cannot show that the queues are empty.
        self.next_look = min(now + LOOK_EVERY, self.until)

    def _look(self, queued: int | None, now: float) -> None:
        """Let every process leave if no connection waits any more, or if time is up."""
        if self.next_look is not None and now < self.next_look:
            return
        self.next_look = min(now + LOOK_EVERY, self.until)
        if not queued or now >= min(self.until, self.empty_until):
            self.leave()
