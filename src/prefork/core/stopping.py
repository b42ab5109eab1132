"""The phases of the server's end. Knows no worker and no clock."""

import enum
from dataclasses import dataclass

LOOK_EVERY = 0.01  #: seconds between looks at the accept queues that are to become empty


class Phase(enum.Enum):
    """How far the end has come."""

    ANNOUNCED = enum.auto()  #: asked for; clients can still connect
    EMPTYING = enum.auto()  #: nobody new can connect; who waits is still accepted
    LEAVING = enum.auto()  #: everybody was told to go


@dataclass(slots=True)
class Stop:
    """The end that the server is coming to."""

    until: float  #: whoever is still here then is killed
    empty_until: float = float("inf")  #: the accept queues have time until then
    phase: Phase = Phase.ANNOUNCED
    at_once: bool = False
    next_look: float | None = None

    def close(self, now: float) -> None:
        """Enter the phase in which the accept queues run empty, if there is time for it."""
        if now >= self.until:
            self.leave()
            return
        self.phase = Phase.EMPTYING
        # The snapshot of now is older than the closing: it cannot say that nobody waits.
        self.next_look = min(now + LOOK_EVERY, self.until)

    def look(self, queued: int | None, now: float) -> None:
        """See whether anybody still waits; if nobody does, or time is up, all shall leave."""
        if self.next_look is not None and now < self.next_look:
            return
        self.next_look = min(now + LOOK_EVERY, self.until)
        if not queued or now >= min(self.until, self.empty_until):
            self.leave()

    def leave(self) -> None:
        """Enter the last phase: everybody goes."""
        self.phase = Phase.LEAVING
        self.next_look = None
