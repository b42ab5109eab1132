"""When a process counts as hung. Knows no process and no clock."""

from dataclasses import dataclass

from prefork.core.limits import PoolLimits
from prefork.core.snapshot import Row
from prefork.core.states import MOLD, State, WorkerRecord


@dataclass(frozen=True, slots=True)
class Suspicion:
    """The moment from which on a process counts as hung, if nothing changes."""

    at: float
    since: float
    why: str


def suspicion(record: WorkerRecord, row: Row | None, limits: PoolLimits) -> Suspicion | None:
    """Return when the process will count as hung, as far as can be seen now."""
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


def next_check(
    record: WorkerRecord, row: Row | None, now: float, limits: PoolLimits
) -> float | None:
    """Return when to look at the process again, so that no hang is seen too late.

    An idle worker can begin something right after this look, but nothing that it begins is
    overdue before ``timeout``: so nobody need look earlier, and there is no polling.
    """
    if not _is_watched(record):
        return None
    expected = suspicion(record, row, limits)
    if expected is not None:
        return expected.at
    if not limits.timeout or record.state is State.STARTING or record.slot == MOLD:
        return None
    return now + limits.timeout


def _is_watched(record: WorkerRecord) -> bool:
    """Tell whether nothing else already limits how long the process may go on as it does."""
    if record.inspected:
        return False
    return record.is_live or (record.state is State.DRAINING and record.kill_at is None)


def _starting_since(record: WorkerRecord) -> float | None:
    return record.since if record.state is State.STARTING else None


def _busy_since(record: WorkerRecord, row: Row | None) -> float | None:
    if record.state is State.STARTING or row is None or not row.active:
        return None
    return row.busy_since


def _stuck_since(record: WorkerRecord, row: Row | None) -> float | None:
    if record.state is State.STARTING or row is None:
        return None
    return row.stuck_since
