"""What to do about those who take too long: inspect, wake, kill."""

from prefork.core.actions import Action, Inspect, Kill, Nudge
from prefork.core.hangs import suspicion
from prefork.core.members import NUDGE_EVERY
from prefork.core.situation import Situation
from prefork.core.snapshot import Snapshot
from prefork.core.states import Cause, State, WorkerRecord

#: Seconds that recording an incident may take; then the hung worker is killed all the same.
INCIDENT_PATIENCE = 0.5


def inspect(situation: Situation, snapshot: Snapshot) -> list[Action]:
    """Have an incident recorded for everybody who hangs."""
    if situation.is_leaving:
        return []  # They are about to be drained; that has a time limit of its own.
    orders: list[Action] = []
    for record in situation.members:
        found = suspicion(record, snapshot.rows.get(record.slot), situation.limits)
        if found is None or snapshot.now < found.at:
            continue
        record.inspected = True
        record.kill_at = snapshot.now + INCIDENT_PATIENCE
        why = f"slot {record.slot} is hung: {found.why}"
        situation.note("hang", snapshot.now, why, {"slot": record.slot, "since": found.since})
        orders.append(Inspect(record.slot))
    return orders


def press(situation: Situation, snapshot: Snapshot) -> list[Action]:
    """Kill those whose time is up, and wake those who have not acknowledged the drain."""
    orders: list[Action] = []
    for record in situation.members:
        if record.state is State.KILLED:
            continue
        _limit_idle_leaver(situation, record, snapshot)
        moment = kill_at(record)
        if moment is not None and snapshot.now >= moment:
            orders.append(_kill_late(situation, record, snapshot.now))
        elif _is_to_be_nudged(record, snapshot):
            record.nudge_at = snapshot.now + NUDGE_EVERY
            orders.append(Nudge(record.slot))
    return orders


def _limit_idle_leaver(situation: Situation, record: WorkerRecord, snapshot: Snapshot) -> None:
    """Limit the time of a worker that had all it wanted, once it holds nothing any more."""
    row = snapshot.rows.get(record.slot)
    is_free = record.state is State.DRAINING and record.kill_at is None
    if is_free and row is not None and row.leaving and not row.active:
        record.kill_at = snapshot.now + situation.limits.graceful_timeout


def kill_at(record: WorkerRecord) -> float | None:
    """Return when to kill it: not before the time that it asked for, unless it hangs."""
    if record.kill_at is None or record.inspected:
        return record.kill_at
    return max(record.kill_at, record.extended_until)


def _kill_late(situation: Situation, record: WorkerRecord, now: float) -> Kill:
    if record.state is State.STARTING:
        situation.count_failure(record, now, "it was not ready in time")
    return situation.members.kill(record.slot, Cause.HUNG, now)


def _is_to_be_nudged(record: WorkerRecord, snapshot: Snapshot) -> bool:
    row = snapshot.rows.get(record.slot)
    if row is not None and row.leaving:
        record.nudge_at = None
    return record.nudge_at is not None and snapshot.now >= record.nudge_at
