"""Which workers leave and which are started: in a roll, when the pool shrinks, after a death.

A successor has to be ready before the worker that it replaces is asked to leave: make before break.
So during a roll there are up to ``surge`` workers more than the pool's target, and never fewer
ready ones than it.  Knows no process and no clock.
"""

from collections.abc import Container, Mapping, Sequence

from prefork.core.actions import Action, Spawn, StartMold
from prefork.core.generation import Generation, Members
from prefork.core.journal import Journal
from prefork.core.lifecycle import drain, retire
from prefork.core.limits import PoolLimits
from prefork.core.snapshot import WorkerReport, idle_slot, is_idle, least_busy_slot
from prefork.core.states import Cause, Phase, State, WorkerRecord


def begin(members: Members, limits: PoolLimits) -> str:
    """Open a new generation that is to replace the current one; return what that means.

    It supersedes a successor that is there already: one on trial never came to serve; one that is
    trusted is the current one from now on.
    """
    superseded = ""
    if (before := members.successor) is not None:
        superseded = f" and supersedes generation {before.number}"
        _abandon(members) if before.is_on_trial else _finish(members)
    number = max(members.generations) + 1
    members.successor = Generation.of(number, Phase.STARTING, limits)
    members.generations[number] = members.successor
    return f"generation {number} starts{superseded}"


def advance(members: Members, now: float, journal: Journal) -> bool:
    """Bring a roll to its next phase, or back; return whether it has come to its end."""
    new = members.successor
    if new is None:
        return False
    if why := failure(new, now):
        _abandon(members)
        journal.note("reload", now, f"generation {new.number} is rolled back: {why}", {})
        return False
    if new.phase is Phase.SOAKING and new.soaked_at is not None and now >= new.soaked_at:
        new.phase = Phase.ROLLING
        why = f"generation {new.number} is trusted: its workers replace the others"
        journal.note("reload", now, why, {})
    if new.phase is not Phase.ROLLING or members.outdated():
        return False
    old = _finish(members)
    why = f"generation {new.number} has replaced generation {old.number}"
    journal.note("reload", now, why, {})
    return True


def failure(generation: Generation, now: float) -> str:
    """Return why a generation that replaces another must be rolled back; empty if it need not.

    On trial nothing may go wrong: the old generation works, and no client needs the new one.
    Later on it has the patience that every generation has with its failed starts.
    """
    if generation.is_on_trial:
        return generation.trouble
    if not generation.failed.are_too_many(now):
        return ""
    limits = generation.failed.limits
    return f"{limits.intensity} of its starts failed within {limits.period:g} s"


def replace(members: Members, target: int, now: float, limits: PoolLimits) -> list[Action]:
    """Have the workers leave that have a successor; while a generation is on trial all stay."""
    outdated = {record.slot for record in members.outdated()}
    leaving = to_replace(members.counted(), outdated, target)
    if members.on_trial is not None:
        # But for those that are not ready: they would only take the processors from the new one.
        leaving = [record for record in leaving if record.state is State.STARTING]
    return [retire(record, now, limits) for record in leaving]


def to_replace(
    live: Sequence[WorkerRecord], outdated: Container[int], target: int
) -> list[WorkerRecord]:
    """Return the workers of ``outdated`` slots that are to leave now.

    Those that are still starting serve no client.  Of those that are ready, as many as there are
    ready workers beyond the ``target``: lowest slots first, so that a roll follows one order.
    """
    ready = [each for each in live if each.state is State.READY]
    starting = [each for each in live if each.state is State.STARTING and each.slot in outdated]
    old = sorted((each for each in ready if each.slot in outdated), key=lambda each: each.slot)
    return starting + old[: max(len(ready) - target, 0)]


def to_retire(
    live: Sequence[WorkerRecord], rows: Mapping[int, WorkerReport], capacity: int, target: int
) -> list[WorkerRecord]:
    """Return the worker that a pool of ``target`` can do without: an idle one.

    Where a worker holds many units, hardly any is ever idle.  Then it is the one with fewest
    units in progress; it takes no more, and has all the time that they need.  At most one goes:
    the target falls by one at a time.
    """
    if target >= len(live):
        return []
    victim = idle_slot(live, rows)
    if victim is None and capacity > 1:
        victim = least_busy_slot(live, rows)
    return [record for record in live if record.slot == victim]


def surplus(
    live: Sequence[WorkerRecord],
    rows: Mapping[int, WorkerReport],
    allowed: int,
    outdated: Container[int] = (),
) -> list[WorkerRecord]:
    """Return the workers that are to leave at once, so that ``allowed`` remain.

    First go those still starting, for they serve no client, then the idle ones, then the busy
    ones; of each those of an ``outdated`` generation, then those that hold fewest connections,
    then the highest slots.
    """

    def worth(record: WorkerRecord) -> tuple[bool, bool, bool, int, int]:
        row = rows.get(record.slot)
        return (
            record.state is State.READY,
            not is_idle(record, rows),
            record.slot not in outdated,
            0 if row is None else row.connections,
            -record.slot,
        )

    order = sorted(live, key=worth)
    return order[: max(len(order) - allowed, 0)]


def headroom(members: Members, surge: int) -> int:
    """Return how many workers there may be beyond the target, without the first on trial."""
    if members.on_trial is not None:
        return 0  # The worker on trial takes this place.
    return min(len(members.outdated()), max(surge, 1))


def release_molds(members: Members, now: float, limits: PoolLimits) -> list[Action]:
    """Drain the molds that are not forked any more."""
    until = now + limits.graceful_timeout
    return [
        drain(mold, Cause.RETIRED, now, until)
        for generation in members.generations.values()
        if (mold := generation.mold) is not None and mold.is_live
        if not generation.fork or generation.phase is Phase.RETIRING
    ]


def start(members: Members, generation: Generation, now: float, startable: int) -> list[Action]:
    """Start the mold of ``generation``, or as many of its workers as are ``startable``."""
    if not startable or now < generation.failed.next_attempt(now):
        return []
    if generation.lacks_mold:
        members.add_mold(generation, now)
        return [StartMold(generation.number)]
    started = [members.add_worker(generation, now) for _ in range(startable)]
    return [Spawn(each.slot, each.generation, generation.fork) for each in started]


def startable(members: Members, generation: Generation, size: int, limits: PoolLimits) -> int:
    """Return how many processes may be ordered, but for the time to wait after failures.

    ``size`` is how many workers there should be, without the first one of a new generation.
    """
    if generation.lacks_mold:
        return 1
    if not generation.can_start_workers:
        return 0
    live = members.counted()
    if generation is members.on_trial:
        has_first = len(members.live()) > len(live)
        return 1 if not has_first and len(live) < size + max(limits.surge, 1) else 0
    starting = sum(record.state is State.STARTING for record in live)
    # After a failure one worker tries whether it works again; the others follow its success.
    at_once = 1 if len(generation.failed) else limits.starting_at_once
    return max(min(size - len(live), at_once - starting), 0)


def _finish(members: Members) -> Generation:
    """Let the successor be the current generation; return the one that it replaces."""
    assert members.successor is not None
    old, members.current, members.successor = members.current, members.successor, None
    old.phase, members.current.phase = Phase.RETIRING, Phase.CURRENT
    return old


def _abandon(members: Members) -> None:
    """Give up the successor; what it has replaced is replaced again."""
    assert members.successor is not None
    members.successor.phase = Phase.RETIRING
    members.successor = None
