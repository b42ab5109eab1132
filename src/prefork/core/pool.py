"""The pool: fed with events, it decides what to do and by when. Knows no process and no clock.

From top to bottom: what can be asked of it, what each event means, what is to be done.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from prefork.core import events, lifecycle, rollout, scaling, watchdog
from prefork.core.actions import Action, Spawn
from prefork.core.generation import PROBATION, Generation, Members
from prefork.core.journal import Decision, Journal, Totals
from prefork.core.limits import PoolLimits
from prefork.core.shutdown import Shutdown
from prefork.core.snapshot import Snapshot, WorkerReport
from prefork.core.states import Cause, ExitStatus, Mold, Process, ServerState, State

__all__ = ["Decision", "Pool", "PoolLimits", "Snapshot", "WorkerReport"]

WORKERS_FAILED: Final = 3  #: exit status: workers kept failing to become ready
NOT_LOADABLE: Final = 4  #: exit status: the target cannot be loaded


class Pool:
    """The set of workers and what each is doing.

    ``apply`` takes note of what happened, ``decide`` returns what is to be done; what it returned
    counts as ordered, so that it never asks for the same thing twice.
    """

    def __init__(self, limits: PoolLimits, now: float) -> None:
        self.members = Members(limits)  #: all processes, by generation; to be read only
        self.totals = Totals()  #: what has become of all workers so far
        self.exit_status = 0  #: what to end the arbiter with: 0, or 3 or 4 of the contract
        self.watching = False  #: whether the arbiter shall wake when a connection arrives
        self._limits = limits
        self._scaling = scaling.Scaling(limits.scaling, now)
        self.journal = Journal(self.target)  #: the last decisions, oldest first
        self._stop: Shutdown | None = None
        self._running = False
        self._deadline: float | None = now

    def apply(self, event: events.Event, now: float) -> None:
        """Take note of ``event``.

        Raises KeyError for an event about a process that does not exist, or that is impossible.
        """
        self._MEANINGS[type(event)](self, event, now)
        self._deadline = now  # It may have changed everything, so a decision is due.

    def decide(self, snapshot: Snapshot) -> list[Action]:
        """Return all that is to be done now, in order."""
        now, members, limits = snapshot.now, self.members, self.limits
        actions: list[Action] = []
        if self._stop is not None:
            actions += self._stop.advance(snapshot.queued, now)
        actions += watchdog.count_silent_programs(members, now, limits)
        if self._stop is None:
            actions += self._roll(now)
        self._scaling.adopt(members.serving, now, self.journal)
        if not self._is_leaving:
            actions += self._scaling.decide(members, snapshot, limits, self.journal)
            actions += rollout.release_molds(members, now, limits)
            actions += watchdog.inspect(members, snapshot, limits, self.journal)
        actions += watchdog.enforce(members, snapshot, limits, self.journal)
        members.confirm_successes(now)
        self._give_up_if_hopeless(now)
        if self._stop is not None:
            actions += self._stop.orders(members, now, limits)
        # At the end, so that a worker that was killed above has a successor at once.
        actions += self._start(now)
        members.forget_generations()
        self._running = self._running or members.could_serve(self.target)
        self._deadline = self._next_deadline(snapshot)
        self.watching = self._stop is None and self._scaling.watching(now)
        return actions

    def deadline(self) -> float | None:
        """Return when ``decide`` has to be called next if nothing happens before, or None."""
        return self._deadline

    def cause_of(self, process: Process, status: ExitStatus) -> Cause:
        """Return why ``process`` ended with ``status``; ask before its exit is applied.

        Raises KeyError when there is no such process.
        """
        return lifecycle.exit_cause(self.members.record_of(process), status)

    @property
    def limits(self) -> PoolLimits:
        """The limits in force."""
        return replace(self._limits, scaling=self._scaling.limits)

    @property
    def generation(self) -> int:
        """The number of the generation that missing workers are started of."""
        return self.members.serving.number

    @property
    def finished(self) -> bool:
        """Whether the server has ended: no process is left."""
        return self._is_leaving and not list(self.members)

    @property
    def state(self) -> ServerState:
        """Where the whole server is in its life."""
        if self._stop is not None:
            return ServerState.STOPPING
        return ServerState.RUNNING if self._running else ServerState.STARTING

    @property
    def target(self) -> int:
        """How many workers there should be now."""
        return self._scaling.target

    # What each event means.  Nothing is ordered here, only remembered.

    def _load_failed(self, event: events.LoadFailed, now: float) -> None:
        record = self.members.record_of(event.process)
        self._give_up_loading(self.members.cannot_load(record, event.reason), now)

    def _spawn_failed(self, event: events.SpawnFailed, now: float) -> None:
        record = self.members.remove(event.process)
        if record.state is State.STARTING:
            self.members.count_failure(record, now, event.reason, self.journal)

    def _fork_refused(self, event: events.ForkRefused, now: float) -> None:
        mold = self.members.molds[event.generation]
        mold.leaving_for = Cause.RETIRED  # It may end before it is asked to.
        self.members.generation_of(mold).fork = False
        why = f"workers are spawned, not forked: {event.reason}"
        self.journal.note("start method", now, why, {})

    def _mold_ready(self, event: events.MoldReady, now: float) -> None:
        record = self.members.molds[event.generation]
        lifecycle.advance(record, events.MoldReady, now)
        self.members.generation_of(record).learn(event.capacity, event.is_loop)

    def _worker_ready(self, event: events.WorkerReady, now: float) -> None:
        record = self.members.workers[event.slot]
        generation = self.members.generation_of(record)
        lifecycle.advance(record, events.WorkerReady, now)
        generation.learn(event.capacity, event.is_loop)
        if record.state is State.READY:
            generation.note_ready(now, self._limits.soak)

    def _worker_leaving(self, event: events.WorkerLeaving, now: float) -> None:
        record = self.members.workers[event.slot]
        if record.state is State.READY:
            lifecycle.leave(record, now, now + self._limits.graceful_timeout)
            if now < record.ready_at + PROBATION:
                why = "it left as soon as it was ready"
                self.members.count_failure(record, now, why, self.journal)
            self.members.generation_of(record).note_trouble(f"{record} left by itself")

    def _worker_exited(self, event: events.WorkerExited, now: float) -> None:
        self.totals.count_exit(self.cause_of(event.slot, event.status))
        record = self.members.remove(event.slot)
        why = self.members.ended(record, event.status, event.accepted, now, self.journal)
        self._give_up_loading(why, now)

    def _mold_exited(self, event: events.MoldExited, now: float) -> None:
        record = self.members.remove(Mold(event.generation))
        self._give_up_loading(self.members.ended(record, event.status, 0, now, self.journal), now)

    def _process_changed(self, event: events.AboutProcess, now: float) -> None:
        lifecycle.note(self.members.record_of(event.process), event, now)

    def _worker_changed(self, event: events.AboutWorker, now: float) -> None:
        lifecycle.note_worker(self.members.workers[event.slot], event, now, self._limits)

    def _incident_recorded(self, event: events.IncidentRecorded, now: float) -> None:
        for record in self.members:
            # The worker may have exited meanwhile, and its slot may have a new one.
            if record.process == event.process and record.inspected:
                lifecycle.doom(record, now)

    def _connection_arrived(self, _event: events.ConnectionArrived, _now: float) -> None:
        self._scaling.arrived = True

    def _limits_changed(self, event: events.LimitsChanged, now: float) -> None:
        # What an operator has chosen is not automatic any more.
        limits = replace(
            self._scaling.limits, minimum=event.minimum, maximum=event.maximum, automatic=None
        )
        self._scaling.obey(limits, now, self.journal)

    def _reload_requested(self, _event: events.ReloadRequested, now: float) -> None:
        if self._stop is None:
            self.journal.note("reload", now, rollout.begin(self.members, self._limits), {})

    def _stop_requested(self, event: events.StopRequested, now: float) -> None:
        if self._stop is None:
            self._stop = Shutdown.requested(now, self._limits.graceful_timeout)
            how = "at once" if event.at_once else "gracefully"
            self.journal.note("stop", now, f"the server was asked to stop {how}", {})
        if event.at_once:
            self._stop.at_once = True
            self._stop.leave()

    _MEANINGS: ClassVar[Mapping[type, Callable[["Pool", Any, float], None]]] = {
        events.TargetLoaded: _process_changed,
        events.LoadFailed: _load_failed,
        events.SpawnFailed: _spawn_failed,
        events.ForkRefused: _fork_refused,
        events.MoldReady: _mold_ready,
        events.WorkerReady: _worker_ready,
        events.ProgramRuns: _worker_changed,
        events.ProgramReported: _worker_changed,
        events.WorkerLeaving: _worker_leaving,
        events.TimeExtended: _worker_changed,
        events.WorkerExited: _worker_exited,
        events.MoldExited: _mold_exited,
        events.ProcessSuspended: _process_changed,
        events.ProcessResumed: _process_changed,
        events.IncidentRecorded: _incident_recorded,
        events.ConnectionArrived: _connection_arrived,
        events.LimitsChanged: _limits_changed,
        events.ReloadRequested: _reload_requested,
        events.StopRequested: _stop_requested,
    }

    def _give_up_loading(self, why: str, now: float) -> None:
        if why:
            self._give_up(NOT_LOADABLE, now, f"the target cannot be loaded: {why}")

    # What is to be done.

    def _roll(self, now: float) -> list[Action]:
        """Bring a roll forward, or back; ``_start`` fills what is missing."""
        members, journal = self.members, self.journal
        self.totals.reloads += rollout.advance(members, now, journal)
        orders = rollout.replace(members, self.target, now, self.limits)
        self.totals.reloads += rollout.advance(members, now, journal)
        return orders

    def _give_up_if_hopeless(self, now: float) -> None:
        """End the server if starts have failed so often that no worker is left to go on with."""
        serving = self.members.serving
        # A new generation may be the remedy.
        if self.members.live() or self.members.on_trial or not self._startable(serving):
            return
        if serving.failed.are_too_many(now):
            limits = self._limits.restart
            failed = f"{limits.intensity} starts failed within {limits.period:g} s"
            self._give_up(WORKERS_FAILED, now, f"{failed} and no worker is left")

    def _give_up(self, exit_status: int, now: float, why: str) -> None:
        """End the server, because it makes no sense to go on."""
        if self._is_leaving:
            return
        if self._stop is None:
            self._stop = Shutdown(until=now + self._limits.graceful_timeout)
            self.exit_status = exit_status  # A stop that was asked for stays one.
        self._stop.leave()
        self.journal.note("stop", now, why, {"exit_status": exit_status})

    def _start(self, now: float) -> list[Action]:
        """Start what is missing, of each generation whose failed starts allow it."""
        members = self.members
        orders: list[Action] = []
        for generation in members.starters():
            orders += rollout.start(members, generation, now, self._startable(generation))
        self.totals.spawned += sum(isinstance(order, Spawn) for order in orders)
        return orders

    def _startable(self, generation: Generation) -> int:
        """Return how many processes of ``generation`` may be ordered."""
        members, size = self.members, self.target
        if self._is_leaving or (self._stop is not None and generation is members.on_trial):
            return 0
        if self._stop is None:
            size += rollout.headroom(members, self._limits.surge)
        return rollout.startable(members, generation, size, self._limits)

    def _next_deadline(self, snapshot: Snapshot) -> float | None:
        """Return the first moment at which time alone changes what is to be done."""
        now, members = snapshot.now, self.members
        moments: list[float | None] = [
            generation.failed.next_attempt(now)
            for generation in members.starters()
            if self._startable(generation)
        ]
        if not self._is_leaving:
            moments.append(self._scaling.next_look)
        if self._stop is not None:
            moments.append(self._stop.next_look)
        elif members.on_trial is not None:
            moments.append(members.on_trial.soaked_at)
        for record in members:
            moments += watchdog.moments(record, snapshot, self._limits)
            moments.append(members.generation_of(record).failed.confirmed_at(record))
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def _is_leaving(self) -> bool:
        """Whether every process leaves: nothing is started or scaled any more."""
        return self._stop is not None and self._stop.is_leaving
