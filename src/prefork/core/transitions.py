"""Every legal step in a worker's life, one a line; anything else is a bug and a KeyError."""

from prefork.core.actions import Drain, Kill
from prefork.core.events import WorkerLeaving, WorkerReady
from prefork.core.states import State, WorkerRecord

TRANSITIONS: dict[tuple[State, type], State] = {
    (State.STARTING, WorkerReady): State.READY,
    (
        State.STARTING,
        Drain,
    ): State.DRAINING,  # a mold, or an early holder
    (State.STARTING, Kill): State.KILLED,
    (State.READY, Drain): State.DRAINING,
    (State.READY, Kill): State.KILLED,
    (State.READY, WorkerLeaving): State.DRAINING,
    (State.DRAINING, Kill): State.KILLED,
    (State.DRAINING, WorkerReady): State.DRAINING,  # said before it read our order
    (State.KILLED, WorkerReady): State.KILLED,  # said before our signal reached it
}


def advance(record: WorkerRecord, step: type, now: float) -> None:
    """Take ``record`` over the ``step``, an event's or an action's type.

    Raises KeyError when there is no such step from its state.
    """
    after = TRANSITIONS[record.state, step]
    if after is not record.state:
        record.state = after
        record.since = now
