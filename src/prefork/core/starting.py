"""What to start, and when. Changes the members, orders nothing by itself."""

from prefork.core.actions import Action, Spawn, StartMold
from prefork.core.situation import Situation
from prefork.core.states import MOLD, State


def start(situation: Situation, now: float) -> list[Action]:
    """Return the orders for the processes that are to be started now."""
    moment = next_start(situation, now)
    if moment is None or now < moment:
        return []
    if _lacks_mold(situation):
        situation.members.begin(MOLD, situation.generation, now)
        return [StartMold(situation.generation)]
    return [_spawn(situation, now) for _ in range(_startable(situation))]


def next_start(situation: Situation, now: float) -> float | None:
    """Return when something is to be started: None, if nothing is missing or can be started."""
    if situation.is_leaving or not (_lacks_mold(situation) or _startable(situation)):
        return None
    return situation.failures.next_attempt(now, give_up=False)


def is_hopeless(situation: Situation, now: float) -> bool:
    """Tell whether starts have failed so often that nobody is left to go on with."""
    if situation.is_leaving or situation.members.live():
        return False
    if not (_lacks_mold(situation) or _startable(situation)):
        return False
    return situation.failures.next_attempt(now, give_up=True) is None


def _lacks_mold(situation: Situation) -> bool:
    return situation.fork and situation.members.mold is None


def _startable(situation: Situation) -> int:
    """Return how many workers may be ordered, but for the time to wait after failures."""
    mold = situation.members.mold
    if situation.fork and (mold is None or mold.state is not State.READY):
        return 0
    starting = len(situation.members.in_state(State.STARTING))
    # After a failure one worker tries whether it works again; the others follow its success.
    at_once = 1 if len(situation.failures) else situation.limits.starting_at_once
    missing = situation.size.target - len(situation.members.live())
    return max(min(missing, at_once - starting), 0)


def _spawn(situation: Situation, now: float) -> Spawn:
    members = situation.members
    slot = members.lowest_free_slot()
    # What comes out of the mold has its target already.
    members.begin(slot, situation.generation, now, loaded=situation.fork)
    situation.totals.spawned += 1
    return Spawn(slot, situation.generation, situation.fork)
