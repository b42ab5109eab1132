"""What is to be done: all rules, in the order in which they are asked."""

from prefork.core.actions import Action
from prefork.core.closing import close, leave, release_mold
from prefork.core.overdue import inspect, press
from prefork.core.resizing import resize
from prefork.core.situation import WORKERS_FAILED, Situation
from prefork.core.snapshot import Snapshot
from prefork.core.starting import is_hopeless, start


def decide(situation: Situation, snapshot: Snapshot) -> list[Action]:
    """Return all that is to be done now, in order."""
    orders = [
        *close(situation, snapshot),
        *resize(situation, snapshot),
        *release_mold(situation, snapshot.now),
        *inspect(situation, snapshot),
        *press(situation, snapshot),
    ]
    _believe_in_success(situation, snapshot.now)
    _give_up_if_hopeless(situation, snapshot.now)
    return [
        *orders,
        *leave(situation, snapshot.now),
        # At the end, so that whoever was killed above has a successor at once.
        *start(situation, snapshot.now),
    ]


def _believe_in_success(situation: Situation, now: float) -> None:
    for record in situation.members:
        believed_at = situation.failures.believed_at(record)
        if believed_at is not None and now >= believed_at:
            situation.failures.forgive(record)


def _give_up_if_hopeless(situation: Situation, now: float) -> None:
    if is_hopeless(situation, now):
        limits = situation.limits.restart
        why = f"{limits.intensity} starts failed within {limits.period:g} s and no worker is left"
        situation.give_up(WORKERS_FAILED, now, why)
