"""What each event means for the pool. Nothing is decided here, only remembered."""

from collections.abc import Callable
from typing import Any

from prefork.core.causes import is_failed_start, is_load_failure
from prefork.core.events import (
    ConnectionArrived,
    Event,
    ForkRefused,
    IncidentRecorded,
    LimitsChanged,
    LoadFailed,
    SpawnFailed,
    StopRequested,
    TargetLoaded,
    TimeExtended,
    WorkerExited,
    WorkerLeaving,
    WorkerReady,
    WorkerResumed,
    WorkerSuspended,
)
from prefork.core.failures import PROBATION
from prefork.core.situation import NOT_LOADABLE, Situation
from prefork.core.states import MOLD, Cause, State
from prefork.core.stopping import Stop


def hear(situation: Situation, event: Event, now: float) -> None:
    """Take note of ``event``.

    Raises KeyError for an event about a slot that is empty, or at which it is impossible.
    """
    _MEANINGS[type(event)](situation, event, now)


def _loaded(situation: Situation, event: TargetLoaded, _now: float) -> None:
    situation.members.records[event.slot].loaded = True


def _ready(situation: Situation, event: WorkerReady, now: float) -> None:
    record = situation.members.ready(event.slot, now)
    record.ready_at = min(record.ready_at, now)
    situation.learn_capacity(event.capacity, now)
    if event.slot != MOLD and record.state is State.READY:
        situation.ever_ready = True


def _leaving(situation: Situation, event: WorkerLeaving, now: float) -> None:
    record = situation.members.records[event.slot]
    if record.state is State.READY:
        until = now + situation.limits.graceful_timeout
        situation.members.part(event.slot, now, until)
        if now < record.ready_at + PROBATION:
            situation.count_failure(record, now, "it left as soon as it was ready")


def _extended(situation: Situation, event: TimeExtended, _now: float) -> None:
    record = situation.members.records[event.slot]
    record.extended_until = max(record.extended_until, event.until)


def _exited(situation: Situation, event: WorkerExited, now: float) -> None:
    cause = situation.members.cause_of(event.slot, event.status)
    record = situation.members.remove(event.slot)
    if event.slot != MOLD:
        situation.totals.count_exit(cause)
    period = situation.limits.restart.period
    if is_load_failure(record, event.status) and not situation.ever_ready:
        why = f"the target cannot be loaded: its import ended the process ({event.status})"
        situation.give_up(NOT_LOADABLE, now, why)
    elif is_failed_start(record, event.status, event.accepted, now, period):
        situation.count_failure(record, now, str(event.status))


def _suspended(situation: Situation, event: WorkerSuspended, now: float) -> None:
    situation.members.records[event.slot].suspended_at = now


def _resumed(situation: Situation, event: WorkerResumed, _now: float) -> None:
    situation.members.records[event.slot].suspended_at = None


def _load_failed(situation: Situation, event: LoadFailed, now: float) -> None:
    if situation.ever_ready:
        return  # The files may be in the middle of an update: its exit counts as a failed start.
    situation.members.records[event.slot].leaving_for = Cause.FAILED_TO_START
    situation.give_up(NOT_LOADABLE, now, f"the target cannot be loaded: {event.reason}")


def _fork_refused(situation: Situation, event: ForkRefused, now: float) -> None:
    situation.fork = False
    mold = situation.members.mold
    if mold is not None:
        mold.leaving_for = Cause.RETIRED  # It may end before it is told to.
    situation.note("start method", now, f"workers are spawned, not forked: {event.reason}", {})


def _spawn_failed(situation: Situation, event: SpawnFailed, now: float) -> None:
    record = situation.members.remove(event.slot)
    if record.state is State.STARTING:
        situation.count_failure(record, now, event.reason)


def _incident_recorded(situation: Situation, event: IncidentRecorded, now: float) -> None:
    # The worker may have exited meanwhile, and its slot may have a new one.
    record = situation.members.records.get(event.slot)
    if record is not None and record.inspected:
        # Even if it has recovered: its incident says that it was killed, and what hung once
        # hangs again.
        record.kill_at = now


def _arrived(situation: Situation, _event: ConnectionArrived, _now: float) -> None:
    situation.arrived = True


def _limits_changed(situation: Situation, event: LimitsChanged, now: float) -> None:
    situation.change_limits(event.minimum, event.maximum, now)


def _stop_requested(situation: Situation, event: StopRequested, now: float) -> None:
    if situation.stop is None:
        patience = situation.limits.graceful_timeout
        # Half of it is left to those who then have to finish what they hold.
        situation.stop = Stop(until=now + patience, empty_until=now + patience / 2)
        how = "at once" if event.at_once else "gracefully"
        situation.note("stop", now, f"the server was asked to stop {how}", {})
    if event.at_once:
        situation.stop.at_once = True
        situation.stop.leave()


_MEANINGS: dict[type, Callable[[Situation, Any, float], None]] = {
    TargetLoaded: _loaded,
    WorkerReady: _ready,
    WorkerLeaving: _leaving,
    TimeExtended: _extended,
    WorkerExited: _exited,
    WorkerSuspended: _suspended,
    WorkerResumed: _resumed,
    LoadFailed: _load_failed,
    ForkRefused: _fork_refused,
    SpawnFailed: _spawn_failed,
    IncidentRecorded: _incident_recorded,
    ConnectionArrived: _arrived,
    LimitsChanged: _limits_changed,
    StopRequested: _stop_requested,
}
