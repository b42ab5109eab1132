"""How the pool follows its size: what is seen of the demand, and who is to retire."""

from prefork.core.actions import Action
from prefork.core.journal import Inputs
from prefork.core.retiring import idle_slot, least_busy_slot, surplus
from prefork.core.situation import Situation
from prefork.core.size import Look
from prefork.core.snapshot import Snapshot
from prefork.core.states import Cause, State


def resize(situation: Situation, snapshot: Snapshot) -> list[Action]:
    """Set the target, and drain whom the pool can do without; ``start`` fills what is missing."""
    if situation.is_leaving:
        return []
    maximum = situation.limits.scaling.maximum
    excess = surplus(situation.members.live(), snapshot.rows, maximum)
    orders = [_retire(situation, slot, snapshot.now) for slot in excess]
    look = _look(situation, snapshot)
    if look is None:
        situation.size.postpone(snapshot.now)  # No data, no decision.
        return orders
    change = situation.size.look(look)
    if change is not None:
        situation.note_change(change, snapshot.now, _inputs(look, situation))
    live = situation.members.live()
    if change is not None and change.after < len(live):
        # At most one: the target falls by one at a time, and only if somebody can go.
        victim = _victim(situation, snapshot)
        if victim is not None:
            orders.append(_retire(situation, victim, snapshot.now))
    return orders


def _victim(situation: Situation, snapshot: Snapshot) -> int | None:
    """Return whom the pool can do without: somebody idle.

    Where a worker holds many units, hardly any is ever idle.  Then it is the one that holds
    fewest; it takes no more, and has all the time that they need.
    """
    live = situation.members.live()
    idle = idle_slot(live, snapshot.rows)
    if idle is None and situation.limits.scaling.capacity > 1:
        return least_busy_slot(live, snapshot.rows)
    return idle


def _look(situation: Situation, snapshot: Snapshot) -> Look | None:
    """Return what is seen of the demand; None, if nothing is known of some ready worker."""
    live = situation.members.live()
    ready = [record.slot for record in live if record.state is State.READY]
    rows = {slot: row for slot in ready if (row := snapshot.rows.get(slot)) is not None}
    if len(rows) < len(ready):
        return None
    arrived, situation.arrived = situation.arrived, False
    idle = idle_slot(live, rows) is not None
    known = sum(row.is_known for row in rows.values())
    spreads = situation.limits.scaling.capacity > 1 and known > 1
    queued = snapshot.queued
    if queued is None and arrived and not idle:
        queued = 1  # Nobody can count who waits, but whoever woke us found nobody free.
    return Look(
        now=snapshot.now,
        active=sum(row.active for row in rows.values()),
        queued=queued,
        accepted={slot: row.accepted for slot, row in rows.items()},
        can_shrink=len(live) < situation.size.target or idle or spreads,
        arrived=arrived,
    )


def _inputs(look: Look, situation: Situation) -> Inputs:
    return {
        "active": look.active,
        "queued": look.queued,
        "ready": len(situation.members.in_state(State.READY)),
        "starting": len(situation.members.in_state(State.STARTING)),
        "capacity": situation.limits.scaling.capacity,
        "spare": situation.limits.scaling.spare,
    }


def _retire(situation: Situation, slot: int, now: float) -> Action:
    if not situation.may_hold(situation.members.records[slot]):
        return situation.members.kill(slot, Cause.RETIRED, now)
    # Nobody is in a hurry where units may last: the others have room for who comes.
    patient = situation.limits.scaling.capacity > 1
    until = None if patient else now + situation.limits.graceful_timeout
    return situation.members.drain(slot, Cause.RETIRED, now, until)
