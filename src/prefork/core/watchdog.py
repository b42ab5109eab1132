"""Which processes take too long: when a process counts as hung, and when its time to leave is up.

Knows no process and no clock.
"""

from dataclasses import dataclass
from typing import Final

from prefork.core.actions import Action, CountAsReady, Inspect, Nudge
from prefork.core.generation import Members
from prefork.core.journal import Journal
from prefork.core.lifecycle import NUDGE_EVERY, advance, kill
from prefork.core.limits import PoolLimits
from prefork.core.snapshot import Snapshot, WorkerReport
from prefork.core.states import Cause, Record, State, WorkerRecord

#: Seconds that recording an incident may take; then the hung process is killed all the same.
INCIDENT_PATIENCE: Final = 0.5


def inspect(
    members: Members, snapshot: Snapshot, limits: PoolLimits, journal: Journal
) -> list[Action]:
    """Have an incident recorded for every process that hangs."""
    orders: list[Action] = []
    for record in members:
        found = suspicion(record, snapshot.row(record.process), limits)
        if found is None or snapshot.now < found.at:
            continue
        record.inspected = True
        record.kill_at = snapshot.now + INCIDENT_PATIENCE
        slot = record.slot if isinstance(record, WorkerRecord) else None
        inputs = {"slot": slot, "since": found.since}
        journal.note("hang", snapshot.now, f"{record} is hung: {found.why}", inputs)
        orders.append(Inspect(record.process))
    return orders


def enforce(
    members: Members, snapshot: Snapshot, limits: PoolLimits, journal: Journal
) -> list[Action]:
    """Kill those whose time is up, and wake those that have not acknowledged the drain."""
    now = snapshot.now
    orders: list[Action] = []
    for record in members:
        row = snapshot.row(record.process)
        if has_left_without_limit(record, row):
            record.kill_at = now + limits.graceful_timeout
        moment = kill_at(record)
        if moment is not None and now >= moment:
            if record.state is State.STARTING:
                members.count_failure(record, now, "it was not ready in time", journal)
            orders.append(kill(record, Cause.HUNG, now, limits.abort_patience))
        elif isinstance(record, WorkerRecord) and is_to_be_nudged(record, row, now):
            record.nudge_at = now + NUDGE_EVERY
            orders.append(Nudge(record.slot))
    return orders


def count_silent_programs(members: Members, now: float, limits: PoolLimits) -> list[Action]:
    """Take the programs for ready that have reported nothing for long enough."""
    orders: list[Action] = []
    for record in members.workers.values():
        due = record.assumed_ready_at
        if record.state is State.STARTING and due is not None and now >= due:
            advance(record, CountAsReady, now)
            members.generation_of(record).note_ready(now, limits.soak)
            orders.append(CountAsReady(record.slot))
    return orders


@dataclass(frozen=True, slots=True)
class Suspicion:
    """The moment from which on a process counts as hung, if nothing changes."""

    at: float
    since: float
    why: str


def suspicion(record: Record, row: WorkerReport | None, limits: PoolLimits) -> Suspicion | None:
    """Return when the process will count as hung, as far as can be seen now.

    A worker that is busy is judged by its units: by ``busy_since`` while ``active`` is not 0.
    Connections that are only held never make a hang.
    """
    if not _is_watched(record):
        return None
    found = [
        Suspicion(
            max(since + patience, record.extended_until),
            since,
            f"{what} for more than {patience:g} s",
        )
        for what, since, patience in (
            ("starting", _starting_since(record), limits.boot_timeout),
            ("suspended", record.suspended_at, limits.timeout),
            ("busy", _busy_since(record, row), limits.timeout),
            ("silent", _stuck_since(record, row), limits.timeout),
        )
        if since is not None and patience
    ]
    return min(found, key=lambda suspicion: suspicion.at, default=None)


def moments(record: Record, snapshot: Snapshot, limits: PoolLimits) -> list[float | None]:
    """Return when time alone changes what is to be done about the process."""
    if record.state is State.KILLED:
        return [record.kill_at]  # if it was aborted
    row = snapshot.row(record.process)
    due = [kill_at(record), next_check(record, row, snapshot.now, limits)]
    if isinstance(record, WorkerRecord):
        due.append(record.nudge_at)
        if record.state is State.STARTING:
            due.append(record.assumed_ready_at)
    return due


def next_check(
    record: Record, row: WorkerReport | None, now: float, limits: PoolLimits
) -> float | None:
    """Return when to look at the process again, so that no hang is seen too late.

    An idle worker can begin something right after this look, but nothing that it begins is
    overdue before ``timeout``: so there is no need to look earlier, and there is no polling.
    """
    if not _is_watched(record):
        return None
    expected = suspicion(record, row, limits)
    if expected is not None:
        return expected.at
    is_worker = isinstance(record, WorkerRecord)
    if not limits.timeout or record.state is State.STARTING or not is_worker:
        return None
    return now + limits.timeout


def kill_at(record: Record) -> float | None:
    """Return when to kill it: not before the time that it asked for, unless it hangs."""
    if record.kill_at is None or record.inspected:
        return record.kill_at
    return max(record.kill_at, record.extended_until)


def has_left_without_limit(record: Record, row: WorkerReport | None) -> bool:
    """Return whether a worker that may leave in its own time holds nothing that needs time.

    A drain is finished when neither a unit nor a connection is left.
    """
    if record.state is not State.DRAINING or record.kill_at is not None:
        return False
    return row is not None and row.leaving and row.is_empty


def is_to_be_nudged(record: WorkerRecord, row: WorkerReport | None, now: float) -> bool:
    """Return whether a draining worker is to be woken again: it has not acknowledged in time."""
    if row is not None and row.leaving:
        record.nudge_at = None
    return record.nudge_at is not None and now >= record.nudge_at


def _is_watched(record: Record) -> bool:
    """Return whether nothing else already limits how long the process may go on as it does."""
    if record.inspected:
        return False
    return record.is_live or (record.state is State.DRAINING and record.kill_at is None)


def _starting_since(record: Record) -> float | None:
    return record.since if record.state is State.STARTING else None


def _busy_since(record: Record, row: WorkerReport | None) -> float | None:
    if record.state is State.STARTING or row is None or not row.active:
        return None
    return row.busy_since


def _stuck_since(record: Record, row: WorkerReport | None) -> float | None:
    if record.state is State.STARTING or row is None:
        return None
    return row.stuck_since
