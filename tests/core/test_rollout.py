"""How one generation replaces another: one after the other, ready before the old one leaves."""

import pytest
from conversations import (
    EXITED,
    FAILED,
    SIGKILLED,
    SIGSEGVED,
    at,
    busy,
    forking_pool,
    pool_of,
    running_pool,
)
from hypothesis import given
from hypothesis import strategies as st

from prefork.core.actions import Drain, Kill, Nudge, Spawn, StartMold
from prefork.core.events import (
    ForkRefused,
    IncidentRecorded,
    LimitsChanged,
    LoadFailed,
    MoldExited,
    MoldReady,
    ReloadRequested,
    SpawnFailed,
    StopRequested,
    TargetLoaded,
    WorkerExited,
    WorkerLeaving,
    WorkerReady,
)
from prefork.core.limits import AutomaticMaximum, ScalingLimits
from prefork.core.rollout import to_replace
from prefork.core.states import Mold, Phase, State, WorkerRecord


def reloading(size=2, **limits):
    """A pool of spawned workers whose reload was asked for at 10.0; its first one has slot N."""
    pool = running_pool(size, **limits)
    pool.apply(ReloadRequested(), 10.0)
    return pool


def rolling(size=2, **limits):
    """The same, with the new generation trusted at 12.0, before the first replacement."""
    pool = reloading(size, **limits)
    pool.decide(at(10.0))
    pool.apply(WorkerReady(size), 11.0)
    pool.decide(at(11.0))
    return pool


def orders_of(pool, snapshot):
    """What is ordered now, but for the wake-ups of those that leave."""
    return [order for order in pool.decide(snapshot) if not isinstance(order, Nudge)]


def phases(pool):
    return {number: it.phase for number, it in pool.members.generations.items()}


def reloads(pool):
    return [it.why for it in pool.journal if it.kind == "reload"]


def test_a_reload_starts_one_worker_of_a_new_generation_and_drains_none():
    """
    It is on trial; the old generation goes on, and its dead are replaced by its own.
    """
    pool = reloading()

    first = orders_of(pool, at(10.0))
    pool.apply(WorkerExited(0, SIGKILLED, 5), 10.1)
    second = orders_of(pool, at(10.1))

    assert [Spawn(2, 2)] == first
    assert [Spawn(0, 1)] == second
    assert {1: Phase.CURRENT, 2: Phase.STARTING} == phases(pool)
    assert ["generation 2 starts"] == reloads(pool)


def test_the_roll_waits_until_the_first_worker_has_lived_for_a_while():
    """
    The soak counts from ready, and a wake-up is planned for its end.
    """
    pool = reloading(soak=3.0)
    orders_of(pool, at(10.0))
    pool.apply(WorkerReady(2), 11.0)

    early = orders_of(pool, at(13.9))
    deadline = pool.deadline()
    late = orders_of(pool, at(14.0))

    assert ([], 14.0) == (early, deadline)
    assert [Drain(0), Spawn(3, 2)] == late
    assert {1: Phase.CURRENT, 2: Phase.ROLLING} == phases(pool)


def test_each_predecessor_leaves_when_its_successor_is_ready():
    """
    With a surge of 1 there is never more than one worker too many, and never one too few.
    """
    pool = rolling(size=2)

    first = orders_of(pool, at(12.0))
    waiting = orders_of(pool, at(12.5))
    pool.apply(WorkerReady(3), 13.0)
    last = orders_of(pool, at(13.0))

    assert [Drain(0), Spawn(3, 2)] == first
    assert [] == waiting
    assert [Drain(1)] == last
    assert {1: Phase.RETIRING, 2: Phase.CURRENT} == phases(pool)
    assert "generation 2 has replaced generation 1" == reloads(pool)[-1]
    assert 1 == pool.totals.reloads
    assert 2 == pool.generation


def test_a_generation_is_forgotten_with_its_last_process():
    """
    Those that drain still belong to it.
    """
    pool = rolling(size=1)
    orders_of(pool, at(12.0))
    draining = phases(pool)

    pool.apply(WorkerExited(0, EXITED, 3), 12.1)
    orders_of(pool, at(12.1))

    assert {1: Phase.RETIRING, 2: Phase.CURRENT} == draining
    assert {2: Phase.CURRENT} == phases(pool)


def test_a_larger_surge_replaces_several_at_a_time():
    """
    As many successors at a time as there may be workers beyond the target.
    """
    pool = rolling(size=4, surge=2)

    first = orders_of(pool, at(12.0))
    for slot in (5, 6):
        pool.apply(WorkerReady(slot), 13.0)
    second = orders_of(pool, at(13.0))

    assert [Drain(0), Spawn(5, 2), Spawn(6, 2)] == first
    assert [Drain(1), Drain(2), Spawn(7, 2)] == second


def test_with_no_worker_wanted_the_first_one_shows_that_the_new_generation_works():
    """
    On demand no worker is replaced: the canary goes, and the generation is the current one.
    """
    pool = pool_of(ScalingLimits(minimum=0, maximum=2), soak=1.0)
    orders_of(pool, at(0.0))
    pool.apply(ReloadRequested(), 10.0)
    first = orders_of(pool, at(10.0))
    pool.apply(WorkerReady(0), 11.0)

    orders_of(pool, at(11.0))
    trusted = orders_of(pool, at(12.0))

    assert [Spawn(0, 2)] == first
    assert [Drain(0)] == trusted
    assert 2 == pool.generation


@pytest.mark.parametrize(
    "events",
    [
        [WorkerExited(2, FAILED)],
        [LoadFailed(2, "SyntaxError"), WorkerExited(2, FAILED)],
        [TargetLoaded(2), WorkerExited(2, SIGSEGVED)],
        [SpawnFailed(2, "EAGAIN")],
        [WorkerReady(2), WorkerExited(2, SIGKILLED, 5)],
        [WorkerReady(2), WorkerExited(2, FAILED, 0)],
        [WorkerReady(2), WorkerLeaving(2), WorkerExited(2, EXITED, 1)],
    ],
)
def test_a_new_generation_whose_first_worker_fails_is_rolled_back(events):
    """
    At its first failure; the old workers never notice, and the server does not end.
    """
    pool = reloading()
    orders_of(pool, at(10.0))

    orders = []
    for event in events:
        pool.apply(event, 10.5)
        orders += orders_of(pool, at(10.5))
    orders += orders_of(pool, at(60.0))

    assert [] == [order for order in orders if order != Kill(2)]
    assert {1: Phase.CURRENT} == phases(pool)
    assert [State.READY] * 2 == [record.state for record in pool.members.workers.values()]
    assert reloads(pool)[-1].startswith("generation 2 is rolled back: ")
    assert 0 == pool.exit_status
    assert 1 == pool.generation


def test_a_first_worker_that_leaves_by_itself_while_it_soaks_is_a_failure():
    """
    Even if it was ready for a while, and takes its time to end.
    """
    pool = reloading(soak=5.0)
    orders_of(pool, at(10.0))
    pool.apply(WorkerReady(2), 10.5)
    orders_of(pool, at(10.5))

    pool.apply(WorkerLeaving(2), 14.0)
    orders_of(pool, at(14.0))

    assert "generation 2 is rolled back: slot 2 left by itself" == reloads(pool)[-1]


def test_the_reason_of_a_roll_back_is_the_first_trouble():
    """
    The error of the target's import, not that its process ended then.
    """
    pool = reloading()
    orders_of(pool, at(10.0))

    pool.apply(LoadFailed(2, "No module named 'x'"), 10.5)
    pool.apply(WorkerExited(2, FAILED), 10.5)
    orders_of(pool, at(10.5))

    why = "generation 2 is rolled back: the target cannot be loaded: No module named 'x'"
    assert why == reloads(pool)[-1]


def test_a_first_worker_that_is_not_ready_in_time_is_a_failure():
    """
    ``boot-timeout`` is its limit as it is that of every worker.
    """
    pool = reloading(boot_timeout=5.0)
    orders_of(pool, at(10.0))
    orders_of(pool, at(15.0))
    pool.apply(IncidentRecorded(2), 15.1)

    killed = orders_of(pool, at(15.1))
    rolled_back = orders_of(pool, at(15.2))

    assert ([Kill(2)], []) == (killed, rolled_back)
    assert "it was not ready in time" in reloads(pool)[-1]


def test_a_new_generation_that_fails_does_not_slow_down_the_old_one():
    """
    Failed starts are counted for each generation.
    """
    pool = reloading(size=1)
    orders_of(pool, at(10.0))
    pool.apply(WorkerExited(1, FAILED), 10.5)
    orders_of(pool, at(10.5))

    pool.apply(WorkerExited(0, SIGKILLED, 5), 10.6)

    assert [Spawn(0, 1)] == orders_of(pool, at(10.6))


def test_a_trusted_generation_whose_workers_keep_failing_is_rolled_back_in_the_same_way():
    """
    Its workers are replaced by the old generation's, ready before they leave.
    """
    pool = rolling(size=2)
    orders_of(pool, at(12.0))
    now = 12.0
    while not reloads(pool)[-1].startswith("generation 2 is rolled back"):
        for slot, record in list(pool.members.workers.items()):
            if record.state is State.STARTING:
                pool.apply(TargetLoaded(slot), now)
                pool.apply(WorkerExited(slot, FAILED), now)
        orders = orders_of(pool, at(now))
        now = pool.deadline()
    slots = {record.slot: record.generation for record in pool.members.live()}
    successor = max(slots)
    pool.apply(WorkerReady(successor), now)
    replaced = orders_of(pool, at(now))

    assert "8 of its starts failed within 60 s" in reloads(pool)[-1]
    assert Spawn(successor, 1) in orders
    assert [Drain(2)] == replaced
    assert [1, 1] == [record.generation for record in pool.members.live()]


def test_a_second_reload_supersedes_one_whose_generation_is_on_trial():
    """
    Its first worker is killed if it was not ready, and is out of date if it was.
    """
    pool = reloading()
    orders_of(pool, at(10.0))

    pool.apply(ReloadRequested(), 10.5)

    assert [Kill(2), Spawn(3, 3)] == orders_of(pool, at(10.5))
    assert {1: Phase.CURRENT, 2: Phase.RETIRING, 3: Phase.STARTING} == phases(pool)
    assert "generation 3 starts and supersedes generation 2" == reloads(pool)[-1]


def test_a_second_reload_takes_a_trusted_generation_for_the_current_one():
    """
    It works; what is left of the oldest one is replaced by the newest.
    """
    pool = rolling(size=2)
    orders_of(pool, at(12.0))
    pool.apply(WorkerExited(0, EXITED, 3), 12.1)
    orders_of(pool, at(12.1))

    pool.apply(ReloadRequested(), 12.5)
    superseding = orders_of(pool, at(12.5))
    phases_then = phases(pool)
    pool.apply(WorkerReady(0), 13.0)
    orders_of(pool, at(13.0))
    trusted = orders_of(pool, at(14.0))

    assert [Kill(3), Spawn(0, 3)] == superseding
    assert {1: Phase.RETIRING, 2: Phase.CURRENT, 3: Phase.STARTING} == phases_then
    assert [Drain(1), Spawn(4, 3)] == trusted


def test_a_first_worker_waits_until_a_superseded_one_has_made_room():
    """
    Never more than target and surge: the old generation needs its place first.
    """
    pool = reloading(size=1)
    orders_of(pool, at(10.0))
    pool.apply(WorkerReady(1), 10.5)
    pool.apply(WorkerExited(0, SIGKILLED, 5), 10.6)
    orders_of(pool, at(10.6))

    pool.apply(ReloadRequested(), 10.7)

    orders_of(pool, at(10.7))
    assert 2 == len(pool.members.live())


def test_a_worker_of_a_superseded_generation_that_dies_is_no_failed_start():
    """
    Nothing is started of its generation any more: there is no next attempt to put off.
    """
    pool = reloading(size=1)
    orders_of(pool, at(10.0))
    pool.apply(WorkerReady(1), 10.5)
    orders_of(pool, at(10.5))
    pool.apply(ReloadRequested(), 10.6)

    pool.apply(WorkerExited(1, SIGSEGVED, 0), 10.6)
    orders_of(pool, at(10.6))

    assert "restart" not in [it.kind for it in pool.journal]


def test_a_reload_starts_a_mold_of_its_own():
    """
    So it gets new code; the old mold goes with its generation.
    """
    pool = forking_pool(size=1)
    pool.apply(ReloadRequested(), 10.0)

    mold = orders_of(pool, at(10.0))
    pool.apply(TargetLoaded(Mold(2)), 10.5)
    pool.apply(MoldReady(2), 10.5)
    worker = orders_of(pool, at(10.5))
    pool.apply(WorkerReady(1), 11.0)
    orders_of(pool, at(11.0))
    rolled = orders_of(pool, at(12.0))

    assert [StartMold(2)] == mold
    assert [Spawn(1, 2, fork=True)] == worker
    assert [Drain(0), Drain(Mold(1))] == rolled


def test_a_mold_that_cannot_load_the_new_code_is_a_failure_of_its_generation_only():
    """
    The server goes on with the old mold.
    """
    pool = forking_pool(size=1)
    pool.apply(ReloadRequested(), 10.0)
    orders_of(pool, at(10.0))

    pool.apply(LoadFailed(Mold(2), "SyntaxError"), 10.5)
    rolled_back = orders_of(pool, at(10.5))
    pool.apply(MoldExited(2, FAILED), 10.6)

    assert [Drain(Mold(2))] == rolled_back
    assert [] == orders_of(pool, at(10.6))
    assert {1: Phase.CURRENT} == phases(pool)


def test_whether_forking_is_safe_is_a_matter_of_each_generation():
    """
    New code may start threads, and code after it may not.
    """
    pool = forking_pool(size=1)
    pool.apply(ReloadRequested(), 10.0)
    orders_of(pool, at(10.0))

    pool.apply(ForkRefused(2, "threads"), 10.5)
    orders = orders_of(pool, at(10.5))

    assert [Drain(Mold(2)), Spawn(1, 2, fork=False)] == orders
    assert pool.members.generations[1].fork


def test_the_kind_and_capacity_of_a_new_generation_count_when_it_is_trusted():
    """
    One worker on trial does not change how many are wanted.
    """
    auto = AutomaticMaximum(blocking=8, event_loop=2)
    pool = pool_of(ScalingLimits(minimum=1, maximum=8, automatic=auto))
    orders_of(pool, at(0.0))
    pool.apply(WorkerReady(0, 1, is_loop=False), 0.0)
    pool.apply(ReloadRequested(), 10.0)
    orders_of(pool, at(10.0))

    pool.apply(WorkerReady(1, 1000, is_loop=True), 10.5)
    orders_of(pool, at(10.5))
    on_trial = pool.limits.scaling
    orders_of(pool, at(11.5))

    assert (1, 8) == (on_trial.capacity, on_trial.maximum)
    assert (1000, 2) == (pool.limits.scaling.capacity, pool.limits.scaling.maximum)


def test_a_pool_does_not_shrink_during_a_roll_and_may_grow():
    """
    A surplus has time until the roll is over; a client has not.
    """
    limits = ScalingLimits(minimum=1, maximum=4, spare=0, scale_down_delay=1.0)
    pool = pool_of(limits, soak=100.0)
    orders_of(pool, at(0.0, queued=2))
    pool.apply(WorkerReady(0), 0.0)
    orders_of(pool, at(0.1, queued=2))
    pool.apply(WorkerReady(1), 0.1)
    pool.apply(ReloadRequested(), 10.0)
    orders_of(pool, at(10.0))
    pool.apply(WorkerReady(2), 10.1)

    quiet = [order for now in range(11, 60) for order in orders_of(pool, at(float(now)))]
    rows = {slot: busy(60.0) for slot in range(3)}
    grown = orders_of(pool, at(61.0, rows, queued=1))

    assert [] == quiet
    assert [Spawn(3, 1)] == grown


def test_lower_limits_count_during_a_roll_too():
    """
    They are an order; the first one of the new generation stays.
    """
    pool = reloading(size=3)
    orders_of(pool, at(10.0))
    pool.apply(WorkerReady(3), 10.1)

    pool.apply(LimitsChanged(1, 1), 10.5)

    assert {Drain(1), Drain(2)} == set(orders_of(pool, at(10.5)))


def test_a_stop_ends_a_roll():
    """
    Workers of both generations leave; nothing is started of the new one.
    """
    pool = reloading(size=1)
    pool.apply(StopRequested(), 10.0)
    closed = orders_of(pool, at(10.0))
    pool.apply(ReloadRequested(), 10.0)

    assert not any(isinstance(order, Spawn) for order in closed)
    assert [Drain(0)] == orders_of(pool, at(10.01))


def member(slot, state, generation):
    return WorkerRecord(slot=slot, generation=generation, started=0.0, since=0.0, state=state)


@given(
    st.lists(st.tuples(st.sampled_from([State.STARTING, State.READY]), st.integers(1, 2))),
    st.integers(0, 12),
)
def test_a_replaced_worker_is_outdated_and_never_needed(workers, target):
    """
    As many ready ones stay as the target promises, if there were as many.
    """
    live = [member(slot, state, number) for slot, (state, number) in enumerate(workers)]
    outdated = {record.slot for record in live if record.generation == 1}

    leaving = to_replace(live, outdated, target)

    ready = sum(record.state is State.READY for record in live)
    gone = sum(record.state is State.READY for record in leaving)
    assert all(record.slot in outdated for record in leaving)
    assert ready - gone >= min(ready, target)
    assert len({record.slot for record in leaving}) == len(leaving)
