"""The pool: fed with events, it says what to do and by when. Knows no process and no clock."""

from collections.abc import Mapping

from prefork.core.actions import Action
from prefork.core.deciding import decide
from prefork.core.events import Event
from prefork.core.hangs import next_check
from prefork.core.hearing import hear
from prefork.core.journal import Decision, Journal
from prefork.core.limits import PoolLimits
from prefork.core.overdue import kill_at
from prefork.core.situation import Situation
from prefork.core.snapshot import Row, Snapshot
from prefork.core.starting import next_start
from prefork.core.states import Cause, ExitStatus, ServerState, State, WorkerRecord
from prefork.core.totals import Totals

__all__ = ["Decision", "Pool", "PoolLimits", "Row", "Snapshot"]


class Pool:
    """The set of workers and what each is doing.

    ``apply`` tells it what happened, ``decide`` what is to be done; what ``decide`` returned
    counts as ordered, so that it never asks for the same thing twice.
    """

    def __init__(self, limits: PoolLimits, now: float) -> None:
        self._situation = Situation(limits, now)
        self._deadline: float | None = now
        self._running = False
        self.watching = False  #: whether the arbiter shall wake when a connection arrives

    def apply(self, event: Event, now: float) -> None:
        """Take note of ``event``.

        Raises KeyError for an event about a slot that is empty, or at which it is impossible.
        """
        hear(self._situation, event, now)
        self._deadline = now  # It may have changed everything: somebody has to decide.

    def decide(self, snapshot: Snapshot) -> list[Action]:
        """Return all that is to be done now, in order."""
        situation = self._situation
        actions = decide(situation, snapshot)
        self._running = self._running or _is_running(situation)
        self._deadline = _deadline(situation, snapshot)
        self.watching = situation.stop is None and situation.size.watching(snapshot.now)
        return actions

    def deadline(self) -> float | None:
        """Return when ``decide`` has to be called next if nothing happens before, or None."""
        return self._deadline

    def cause_of(self, slot: int, status: ExitStatus) -> Cause:
        """Return why the process in ``slot`` ended with ``status``; ask before it is applied.

        Raises KeyError when the slot is empty.
        """
        return self._situation.members.cause_of(slot, status)

    @property
    def finished(self) -> bool:
        """Whether the server has ended: nobody is left."""
        return self._situation.is_leaving and not self._situation.members.records

    @property
    def exit_status(self) -> int:
        """What to end the arbiter with: 0, or 3 or 4 of the contract."""
        return self._situation.exit_status

    @property
    def state(self) -> ServerState:
        """Where the whole server is in its life."""
        if self._situation.stop is not None:
            return ServerState.STOPPING
        return ServerState.RUNNING if self._running else ServerState.STARTING

    @property
    def target(self) -> int:
        """How many workers there should be now."""
        return self._situation.size.target

    @property
    def limits(self) -> PoolLimits:
        """The limits in force."""
        return self._situation.limits

    @property
    def generation(self) -> int:
        """The generation that new workers belong to."""
        return self._situation.generation

    @property
    def records(self) -> Mapping[int, WorkerRecord]:
        """The workers by slot, and the mold at ``MOLD``; to be read only."""
        return self._situation.members.records

    @property
    def journal(self) -> Journal:
        """The last decisions, oldest first."""
        return self._situation.journal

    @property
    def totals(self) -> Totals:
        """What has become of all workers so far."""
        return self._situation.totals


def _is_running(situation: Situation) -> bool:
    """Tell whether the server does what it should: it serves, or it could at once."""
    if situation.ever_ready or situation.size.target:
        return situation.ever_ready
    mold = situation.members.mold
    return not situation.fork or (mold is not None and mold.state is State.READY)


def _deadline(situation: Situation, snapshot: Snapshot) -> float | None:
    """Return the first moment at which time alone changes what is to be done."""
    now = snapshot.now
    moments = [next_start(situation, now)]
    if not situation.is_leaving:
        moments.append(situation.size.next_look)
    if situation.stop is not None:
        moments.append(situation.stop.next_look)
    for record in situation.members:
        if record.state is not State.KILLED:
            row = snapshot.rows.get(record.slot)
            moments += [kill_at(record), record.nudge_at, situation.failures.believed_at(record)]
            moments.append(next_check(record, row, now, situation.limits))
    return min((moment for moment in moments if moment is not None), default=None)
