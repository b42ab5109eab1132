"""Random histories: whatever happens, in whatever order, the pool keeps its promises."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from world import World

from prefork.core.events import (
    ConnectionArrived,
    ForkRefused,
    IncidentRecorded,
    LimitsChanged,
    LoadFailed,
    MoldReady,
    ProcessResumed,
    ProcessSuspended,
    ProgramRuns,
    ReloadRequested,
    SpawnFailed,
    StopRequested,
    TargetLoaded,
    WorkerExited,
    WorkerLeaving,
    WorkerReady,
)
from prefork.core.limits import ScalingLimits, automatic_maximum
from prefork.core.pool import PoolLimits
from prefork.core.restart import RestartLimits
from prefork.core.states import ExitStatus, Mold, State

STATUSES = st.sampled_from(
    [
        ExitStatus(code=0),
        ExitStatus(code=1),
        ExitStatus(signal="SIGKILL"),
        ExitStatus(signal="SIGSEGV"),
        ExitStatus(signal="SIGKILL", out_of_memory=True),
    ]
)
PICK = st.integers(0, 1_000)


class Histories(RuleBasedStateMachine):
    """Every event that can happen at a moment may happen; then the pool is looked at."""

    @initialize(
        minimum=st.integers(0, 3),
        more=st.integers(0, 4),
        delay=st.sampled_from([0.0, 1.0, 30.0]),
        timeout=st.sampled_from([0.0, 2.0]),
        grace=st.sampled_from([0.0, 5.0]),
        fork=st.booleans(),
        at_once=st.integers(1, 4),
        surge=st.integers(1, 3),
        soak=st.sampled_from([0.0, 1.0]),
        program=st.booleans(),
    )
    def begin(self, minimum, more, delay, timeout, grace, fork, at_once, surge, soak, program):
        self.world = World(
            PoolLimits(
                scaling=ScalingLimits(
                    minimum=minimum,
                    maximum=minimum + more,
                    scale_down_delay=delay,
                    automatic=automatic_maximum(minimum + 1),
                ),
                restart=RestartLimits(intensity=5),
                boot_timeout=timeout * 5,
                timeout=timeout,
                graceful_timeout=grace,
                early_holders=program,
                ready_after=0.5 if program else 0.0,
                abort_patience=1.0 if program else 0.0,
                fork=fork,
                starting_at_once=at_once,
                surge=surge,
                soak=soak,
            )
        )
        self.world.look()

    def pick(self, number, processes):
        return processes[number % len(processes)] if processes else None

    def happen(self, event):
        self.world.happen(event)
        self.world.look()

    @rule(pause=st.sampled_from([0.001, 0.06, 1.0, 7.0, 100.0]))
    def time_passes(self, pause):
        self.world.now += pause
        self.world.look()

    @rule()
    def the_deadline_comes(self):
        deadline = self.world.pool.deadline()
        if deadline is not None:
            self.world.now = max(deadline, self.world.now)
            self.world.look()

    @rule(number=PICK, capacity=st.sampled_from([None, 1, 10]), is_loop=st.booleans())
    def a_worker_becomes_ready(self, number, capacity, is_loop):
        slot = self.pick(number, self.world.workers(State.STARTING))
        if slot is not None:
            self.world.happen(TargetLoaded(slot))
            self.happen(WorkerReady(slot, capacity, is_loop))

    @rule(number=PICK)
    def a_mold_becomes_ready(self, number):
        generation = self.pick(number, self.world.molds(State.STARTING))
        if generation is not None:
            self.world.happen(TargetLoaded(Mold(generation)))
            self.happen(MoldReady(generation))

    @rule(number=PICK)
    def everything_that_starts_becomes_ready(self, number):
        self.a_mold_becomes_ready(number)
        for slot in self.world.workers(State.STARTING):
            if slot in self.world.workers(State.STARTING):
                self.happen(WorkerReady(slot))

    @rule(number=PICK)
    def a_worker_reports_ready_too_late(self, number):
        slot = self.pick(number, self.world.workers(State.KILLED))
        if slot is not None:
            self.happen(WorkerReady(slot))

    @rule(number=PICK)
    def a_mold_reports_ready_too_late(self, number):
        generation = self.pick(number, self.world.molds(State.KILLED, State.DRAINING))
        if generation is not None:
            self.happen(MoldReady(generation))

    @rule(number=PICK)
    def a_program_runs(self, number):
        slot = self.pick(number, self.world.workers(*State))
        if slot is not None:
            self.world.happen(TargetLoaded(slot))
            self.happen(ProgramRuns(slot))

    @rule(number=PICK)
    def a_worker_leaves_by_itself(self, number):
        slot = self.pick(number, self.world.workers(State.READY))
        if slot is not None:
            self.happen(WorkerLeaving(slot))

    @rule(number=PICK, status=STATUSES, accepted=st.integers(0, 1))
    def a_process_exits(self, number, status, accepted):
        process = self.pick(number, self.world.processes(*State))
        if process is not None:
            self.world.exit(process, status, accepted)
            self.world.look()

    @rule(number=PICK)
    def a_leaving_process_exits(self, number):
        process = self.pick(number, self.world.processes(State.DRAINING, State.KILLED))
        if process is not None:
            self.world.exit(process, ExitStatus(code=0))
            self.world.look()

    @rule(number=PICK)
    def a_process_cannot_be_started(self, number):
        process = self.pick(number, self.world.processes(State.STARTING))
        if process is not None:
            self.happen(SpawnFailed(process, "no more processes"))

    @rule(number=PICK)
    def a_target_cannot_be_loaded_later_on(self, number):
        process = self.pick(number, self.world.processes(State.STARTING))
        if process is not None and self.world.pool.totals.spawned > 8:
            self.happen(LoadFailed(process, "half-written file"))

    @rule(number=PICK, active=st.integers(0, 1), held=st.integers(0, 2))
    def a_worker_works_or_rests(self, number, active, held):
        slot = self.pick(number, self.world.workers(State.READY))
        if slot is not None:
            since = self.world.now if active else None
            accepted = self.world.rows[slot].accepted + active
            connections = active + held
            self.world.set_row(
                slot, connections=connections, active=active, busy_since=since, accepted=accepted
            )
            self.world.look()

    @rule(number=PICK)
    def a_worker_acknowledges(self, number):
        slot = self.pick(number, self.world.workers(State.DRAINING))
        if slot is not None:
            self.world.set_row(slot, leaving=True)
            self.world.look()

    @rule(number=PICK, suspended=st.booleans())
    def a_process_is_suspended_or_resumed(self, number, suspended):
        process = self.pick(number, self.world.processes(*State))
        if process is not None:
            self.happen(ProcessSuspended(process) if suspended else ProcessResumed(process))

    @rule(process=st.integers(0, 6) | st.integers(1, 3).map(Mold))
    def an_incident_is_recorded(self, process):
        self.happen(IncidentRecorded(process))

    @rule(queued=st.sampled_from([None, 0, 1, 3, 40]))
    def clients_come_or_go(self, queued):
        self.world.queued = queued
        if self.world.pool.watching and queued != 0:
            self.world.happen(ConnectionArrived())
        self.world.look()

    @rule(minimum=st.integers(0, 4), more=st.integers(0, 4))
    def the_operator_changes_the_limits(self, minimum, more):
        self.happen(LimitsChanged(minimum, minimum + more))

    @rule(number=PICK)
    def a_mold_must_not_be_forked(self, number):
        generation = self.pick(number, self.world.molds(State.STARTING))
        if generation is not None:
            self.happen(ForkRefused(generation, "threads"))

    @rule(likely=st.integers(0, 2))
    def the_operator_reloads(self, likely):
        if likely:
            self.happen(ReloadRequested())

    @rule(certain=st.integers(0, 9), at_once=st.booleans())
    def the_operator_stops_it(self, certain, at_once):
        if certain == 0:
            self.happen(StopRequested(at_once))

    def teardown(self):
        if hasattr(self, "world"):
            self.world.end()


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("fork", [False, True])
def test_five_thousand_failed_starts_change_nothing_but_the_time(fork):
    """
    A night of failures beside a worker that serves: no overflow, no growth, no busy loop.
    """
    world = World(PoolLimits(scaling=ScalingLimits(minimum=2, maximum=2), fork=fork, timeout=0.0))
    world.look()
    if fork:
        world.happen(MoldReady(1))
        world.look()
    world.happen(WorkerReady(0))
    for _ in range(5_000):
        while 1 not in world.orders:
            world.look()
            if 1 not in world.orders:
                world.now = world.pool.deadline()
        world.happen(WorkerExited(1, ExitStatus(code=1)))

    assert world.now > 4_900 * 30.0
    assert 0 == world.pool.exit_status
    assert len(world.pool.journal) <= 200
