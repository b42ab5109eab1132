"""Whom a smaller pool can do without. Knows no process and no clock."""

from collections.abc import Iterable, Mapping

from prefork.core.snapshot import Row
from prefork.core.states import State, WorkerRecord


def idle_slot(live: Iterable[WorkerRecord], rows: Mapping[int, Row]) -> int | None:
    """Return the highest slot of a worker that is ready and known to hold nothing."""
    return max((record.slot for record in live if _is_idle(record, rows)), default=None)


def least_busy_slot(live: Iterable[WorkerRecord], rows: Mapping[int, Row]) -> int | None:
    """Return the slot of the ready worker that holds fewest units; of several the highest."""
    known = [
        (rows[record.slot].active, -record.slot)
        for record in live
        if record.state is State.READY and record.slot in rows and rows[record.slot].is_known
    ]
    return -min(known)[1] if known else None


def surplus(live: Iterable[WorkerRecord], rows: Mapping[int, Row], target: int) -> list[int]:
    """Return whom to end at once so that ``target`` remain.

    First go those still starting, for they serve nobody, then the idle ones, then the busy
    ones; of each the highest slots first.
    """

    def worth(record: WorkerRecord) -> tuple[bool, bool, int]:
        return (record.state is State.READY, not _is_idle(record, rows), -record.slot)

    order = sorted(live, key=worth)
    return [record.slot for record in order[: max(len(order) - target, 0)]]


def _is_idle(record: WorkerRecord, rows: Mapping[int, Row]) -> bool:
    row = rows.get(record.slot)
    if record.state is not State.READY or row is None:
        return False
    return row.is_known and row.active == 0
