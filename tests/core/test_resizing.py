"""How the pool follows its size and the operator's limits."""

import pytest
from conversations import SIGKILLED, at, busy, forking_pool, pool_of, running_pool, settled
from hypothesis import given
from hypothesis import strategies as st

from prefork.core.actions import Drain, Kill, Spawn
from prefork.core.events import ConnectionArrived, LimitsChanged, WorkerExited, WorkerReady
from prefork.core.limits import ScalingLimits
from prefork.core.pool import Snapshot, WorkerReport
from prefork.core.rollout import surplus
from prefork.core.snapshot import idle_slot, least_busy_slot
from prefork.core.states import Cause, State, WorkerRecord

ELASTIC = ScalingLimits(minimum=1, maximum=4, scale_down_delay=10.0)


def test_a_waiting_client_gets_a_worker_before_the_old_ones_are_free():
    """
    What waits is demand: the pool grows by it.
    """
    pool = settled(pool_of(ELASTIC), range(1))

    orders = pool.decide(at(1.0, {0: busy(0.5)}, queued=1))

    assert [Spawn(1, 1)] == orders
    assert 2 == pool.target
    decision = pool.journal[-1]
    assert ("scale", 1, 2) == (decision.kind, decision.before, decision.after)
    assert "1 unit in progress and 1 waiting want 3 workers" == decision.why
    assert decision.inputs["queued"] == 1


def test_an_arrival_that_cannot_be_counted_starts_the_first_worker():
    """
    On demand, and the depth of the queue is unknown: the wake-up itself is the client.
    """
    pool = pool_of(ScalingLimits(minimum=0, maximum=4))
    pool.decide(at(0.0, queued=None))

    pool.apply(ConnectionArrived(), 1.0)

    assert [Spawn(0, 1)] == pool.decide(at(1.0, queued=None))
    assert not pool.watching


def test_without_a_row_of_a_ready_worker_the_size_stays():
    """
    No data, no decision; but the dead are replaced and the next look is soon.
    """
    pool = settled(pool_of(ELASTIC), range(1))

    orders = pool.decide(Snapshot(now=1.0, rows={}, queued=50))

    assert [] == orders
    assert 1 == pool.target
    assert pool.deadline() == 1.1


def test_a_fixed_pool_needs_no_rows():
    """
    There is nothing to decide, so nothing is looked at again for it.
    """
    pool = running_pool(size=1, timeout=0.0)

    assert [] == pool.decide(Snapshot(now=1.0, rows={}, queued=50))
    assert pool.deadline() is None


@pytest.mark.parametrize(
    ("rows", "victim"),
    [
        ({}, 2),
        ({2: WorkerReport(connections=9)}, 1),
        ({1: WorkerReport(connections=1), 2: WorkerReport(connections=9)}, 0),
        (
            {
                0: WorkerReport(connections=1),
                1: WorkerReport(connections=1),
                2: WorkerReport(connections=1),
            },
            2,
        ),
        (
            {
                0: WorkerReport(connections=3, active=1),
                1: WorkerReport(connections=9),
                2: WorkerReport(connections=9),
            },
            2,
        ),
        ({0: WorkerReport(active=1), 1: WorkerReport(active=1), 2: WorkerReport(active=1)}, None),
    ],
)
def test_of_the_idle_workers_the_one_that_holds_fewest_connections_goes_first(rows, victim):
    """
    A connection that is only held makes no worker busy, but its end costs its client something.
    """
    live = [member(slot, State.READY) for slot in range(3)]
    everybody = {slot: WorkerReport() for slot in range(3)} | rows

    assert victim == idle_slot(live, everybody)


@pytest.mark.parametrize(
    ("rows", "victim"),
    [
        (
            [
                WorkerReport(active=3),
                WorkerReport(active=2, connections=9),
                WorkerReport(active=2, connections=8),
            ],
            2,
        ),
        (
            [
                WorkerReport(active=1, connections=99),
                WorkerReport(active=2),
                WorkerReport(active=2),
            ],
            0,
        ),
        ([WorkerReport(active=1), WorkerReport(active=1), WorkerReport(is_known=False)], 1),
        ([WorkerReport(is_known=False)] * 3, None),
    ],
)
def test_the_least_busy_worker_has_fewest_units_then_fewest_connections(rows, victim):
    """
    One that has never reported what it holds is not judged.
    """
    live = [member(slot, State.READY) for slot in range(3)]

    assert victim == least_busy_slot(live, dict(enumerate(rows)))


def test_connections_that_are_only_held_are_no_demand():
    """
    Ten idle keep-alive connections want no second worker.
    """
    pool = settled(pool_of(ELASTIC), range(1))

    pool.decide(at(1.0, {0: WorkerReport(connections=10, accepted=10)}))

    assert 1 == pool.target


def test_the_highest_idle_worker_retires():
    """
    One at a time, never a busy one, and the reason is kept.
    """
    pool = settled(pool_of(ELASTIC), range(1))
    for moment in (1.0, 1.05, 1.1):
        pool.decide(at(moment, queued=3))
    for slot in (1, 2, 3):
        pool.apply(WorkerReady(slot), 1.2)
    rows = {3: busy(1.0)}
    pool.decide(at(2.0, rows))

    orders = pool.decide(at(12.0, rows))

    assert [Drain(2)] == orders
    assert Cause.RETIRED == pool.cause_of(2, SIGKILLED)
    assert "2 workers would have been enough for 10 s" == pool.journal[-1].why


def test_a_shrinking_target_needs_no_victim_if_a_worker_is_missing_anyway():
    """
    A worker died, its successor is not ordered before the target falls: no other worker goes.
    """
    pool = settled(pool_of(ELASTIC), range(1))
    pool.decide(at(1.0, queued=1))
    pool.apply(WorkerReady(1), 1.1)
    pool.decide(at(2.0))

    pool.apply(WorkerExited(1, SIGKILLED, 1), 12.0)

    assert [] == pool.decide(at(12.0))
    assert 1 == pool.target


def test_higher_limits_start_workers_at_once():
    """
    The target is at least the new minimum, now.
    """
    pool = running_pool(size=1)

    pool.apply(LimitsChanged(3, 3), 5.0)

    assert [Spawn(1, 1), Spawn(2, 1)] == pool.decide(at(5.0))
    assert (3, 3) == (pool.limits.scaling.minimum, pool.limits.scaling.maximum)


def test_lower_limits_end_the_surplus_at_once_the_useless_first():
    """
    Starting ones are killed, then idle ones drained, then busy ones; highest slot first.
    """
    pool = running_pool(size=4)
    pool.apply(LimitsChanged(5, 5), 1.0)
    pool.decide(at(1.0))

    pool.apply(LimitsChanged(1, 1), 2.0)
    orders = pool.decide(at(2.0, {3: busy(1.0), 0: busy(1.5)}))

    assert [Kill(4), Drain(2), Drain(1), Drain(3)] == orders
    assert 1 == pool.target


def test_a_pool_scaled_to_zero_and_back():
    """
    0 is a size like any other, and the mold waits for the next one.
    """
    pool = forking_pool(size=1)
    pool.apply(LimitsChanged(0, 0), 1.0)
    drained = pool.decide(at(1.0))
    pool.apply(WorkerExited(0, SIGKILLED), 1.1)
    empty = pool.decide(at(1.1))

    pool.apply(LimitsChanged(1, 1), 2.0)

    assert [Drain(0)] == drained
    assert [] == empty
    assert [Spawn(0, 1, fork=True)] == pool.decide(at(2.0))


def member(slot, state):
    return WorkerRecord(slot=slot, generation=1, started=0.0, since=0.0, state=state)


@given(
    st.lists(st.tuples(st.sampled_from([State.STARTING, State.READY]), st.integers(0, 2))),
    st.integers(0, 12),
)
def test_the_surplus_is_exact_and_never_a_busy_one_before_an_idle_one(workers, target):
    """
    As many go as are too many, and those that stay are worth at least as much.
    """
    live = [member(slot, state) for slot, (state, _) in enumerate(workers)]
    rows = {slot: WorkerReport(active=active) for slot, (_, active) in enumerate(workers)}

    leaving = [record.slot for record in surplus(live, rows, target)]

    assert max(len(live) - target, 0) == len(set(leaving)) == len(leaving)
    busy_ones = {
        slot for slot, (state, active) in enumerate(workers) if state is State.READY and active
    }
    if busy_ones & set(leaving):
        assert {record.slot for record in live} - set(leaving) <= busy_ones
