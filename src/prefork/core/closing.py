"""How the server ends: nobody new comes in, then everybody goes."""

from prefork.core.actions import Action, StopListening
from prefork.core.situation import Situation
from prefork.core.snapshot import Snapshot
from prefork.core.states import MOLD, Cause, State
from prefork.core.stopping import Phase


def close(situation: Situation, snapshot: Snapshot) -> list[Action]:
    """Bring a graceful stop forward to the moment when nobody waits any more."""
    stop = situation.stop
    if stop is None or stop.phase is Phase.LEAVING:
        return []
    if stop.phase is Phase.ANNOUNCED:
        stop.close(snapshot.now)
        return [StopListening()]
    stop.look(snapshot.queued, snapshot.now)
    return []


def leave(situation: Situation, now: float) -> list[Action]:
    """Tell everybody to go, in the last phase of the end."""
    stop, members = situation.stop, situation.members
    if stop is None or stop.phase is not Phase.LEAVING:
        return []
    orders: list[Action] = []
    for record in members:
        if record.state is State.KILLED:
            continue
        # Whoever is still starting holds nothing: there is nothing to finish.
        due = now >= max(stop.until, record.extended_until)
        idle = record.state is State.STARTING and not situation.may_hold(record)
        if stop.at_once or due or idle:
            orders.append(members.kill(record.slot, Cause.STOPPED, now))
        elif record.is_live:
            orders.append(members.drain(record.slot, Cause.STOPPED, now, stop.until))
        elif record.kill_at is None or record.kill_at > stop.until:
            record.kill_at = stop.until  # Retired before, with more time or all time.
    return orders


def release_mold(situation: Situation, now: float) -> list[Action]:
    """Drain the mold that must not be forked: nobody needs it any more."""
    mold = situation.members.mold
    if situation.fork or situation.is_leaving or mold is None or not mold.is_live:
        return []
    until = now + situation.limits.graceful_timeout
    return [situation.members.drain(MOLD, Cause.RETIRED, now, until)]
