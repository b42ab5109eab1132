"""Random histories: whatever happens, in whatever order, the pool keeps its promises."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from world import World

from prefork.core.events import (
    ConnectionArrived,
    ForkRefused,
    IncidentRecorded,
    LimitsChanged,
    LoadFailed,
    SpawnFailed,
    StopRequested,
    TargetLoaded,
    WorkerExited,
    WorkerReady,
    WorkerResumed,
    WorkerSuspended,
)
from prefork.core.pool import PoolLimits
from prefork.core.restart import RestartLimits
from prefork.core.scaling import ScalingLimits
from prefork.core.states import MOLD, ExitStatus, State

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
    )
    def begin(self, minimum, more, delay, timeout, grace, fork, at_once):
        self.world = World(
            PoolLimits(
                scaling=ScalingLimits(
                    minimum=minimum, maximum=minimum + more, scale_down_delay=delay
                ),
                restart=RestartLimits(intensity=5),
                boot_timeout=timeout * 5,
                timeout=timeout,
                graceful_timeout=grace,
                fork=fork,
                starting_at_once=at_once,
            )
        )
        self.world.look()

    def pick(self, number, *states):
        slots = self.world.in_state(*states)
        return slots[number % len(slots)] if slots else None

    def tell(self, event):
        self.world.tell(event)
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

    @rule(number=PICK)
    def one_becomes_ready(self, number):
        slot = self.pick(number, State.STARTING)
        if slot is not None:
            self.world.tell(TargetLoaded(slot))
            self.tell(WorkerReady(slot))

    @rule(number=PICK)
    def one_says_ready_too_late(self, number):
        slot = self.pick(number, State.KILLED)
        if slot is not None:
            self.tell(WorkerReady(slot))

    @rule(number=PICK, status=STATUSES, accepted=st.integers(0, 1))
    def one_exits(self, number, status, accepted):
        slot = self.pick(number, *State)
        if slot is not None:
            self.tell(WorkerExited(slot, status, accepted))

    @rule(number=PICK)
    def a_leaving_one_exits(self, number):
        slot = self.pick(number, State.DRAINING, State.KILLED)
        if slot is not None:
            self.tell(WorkerExited(slot, ExitStatus(code=0), 1))

    @rule(number=PICK)
    def one_cannot_be_spawned(self, number):
        slot = self.pick(number, State.STARTING)
        if slot is not None:
            self.tell(SpawnFailed(slot, "no more processes"))

    @rule(number=PICK)
    def one_cannot_load_later_on(self, number):
        slot = self.pick(number, State.STARTING)
        if slot is not None and self.world.pool.totals.spawned > 8:
            self.tell(LoadFailed(slot, "half-written file"))

    @rule(number=PICK, active=st.integers(0, 1))
    def one_works_or_rests(self, number, active):
        slot = self.pick(number, State.READY)
        if slot not in (None, MOLD):
            since = self.world.now if active else None
            accepted = self.world.rows[slot].accepted + active
            self.world.set_row(slot, active=active, busy_since=since, accepted=accepted)
            self.world.look()

    @rule(number=PICK)
    def one_acknowledges(self, number):
        slot = self.pick(number, State.DRAINING)
        if slot not in (None, MOLD):
            self.world.set_row(slot, leaving=True)
            self.world.look()

    @rule(number=PICK, suspended=st.booleans())
    def one_is_suspended_or_resumed(self, number, suspended):
        slot = self.pick(number, *State)
        if slot is not None:
            self.tell(WorkerSuspended(slot) if suspended else WorkerResumed(slot))

    @rule(slot=st.integers(-1, 6))
    def an_incident_is_recorded(self, slot):
        self.tell(IncidentRecorded(slot))

    @rule(queued=st.sampled_from([None, 0, 1, 3, 40]))
    def clients_come_or_go(self, queued):
        self.world.queued = queued
        if self.world.pool.watching and queued != 0:
            self.world.tell(ConnectionArrived())
        self.world.look()

    @rule(minimum=st.integers(0, 4), more=st.integers(0, 4))
    def the_operator_changes_the_limits(self, minimum, more):
        self.tell(LimitsChanged(minimum, minimum + more))

    @precondition(lambda self: self.world.pool.records.get(MOLD) is not None)
    @rule()
    def the_mold_refuses(self):
        if self.world.pool.records[MOLD].state is State.STARTING:
            self.tell(ForkRefused("threads"))

    @rule(certain=st.integers(0, 9), at_once=st.booleans())
    def the_operator_stops_it(self, certain, at_once):
        if certain == 0:
            self.tell(StopRequested(at_once))

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
        world.tell(WorkerReady(MOLD))
        world.look()
    world.tell(WorkerReady(0))
    for _ in range(5_000):
        while 1 not in world.orders:
            world.look()
            if 1 not in world.orders:
                world.now = world.pool.deadline()
        world.tell(WorkerExited(1, ExitStatus(code=1)))

    assert world.now > 4_900 * 30.0
    assert 0 == world.pool.exit_status
    assert len(world.pool.journal) <= 200
