"""Workers that hold many units, which may last: event loops, and programs of other people."""

import pytest
from conversations import (
    EXITED,
    FAILED,
    IDLE,
    at,
    busy,
    pool_of,
    running_pool,
)

from prefork.core.actions import Drain, Inspect, Kill, Spawn
from prefork.core.events import (
    StopRequested,
    TimeExtended,
    WorkerExited,
    WorkerLeaving,
    WorkerReady,
)
from prefork.core.limits import ScalingLimits
from prefork.core.snapshot import WorkerReport
from prefork.core.states import Cause, State


def holding(active: int, **fields) -> WorkerReport:
    return WorkerReport(active=active, **fields)


def elastic(most: int = 4, capacity: int = 10, *, ready: int = 2):
    """A pool of 1 to ``most`` workers that tell of their capacity; ``ready`` of them serve."""
    limits = ScalingLimits(minimum=1, maximum=most, spare=1, scale_down_delay=2.0)
    pool = pool_of(limits)
    for slot in range(ready):
        # Far apart: growth has a pace of its own.
        pool.decide(at(slot * 0.1 - 1.0, queued=ready * capacity))
        pool.apply(WorkerReady(slot, capacity), slot * 0.1 - 1.0)
    return pool


def test_a_lasting_unit_is_no_hang_and_a_silent_loop_is_one():
    """
    What counts is since when the loop has not gone round.
    """
    pool = running_pool(size=1, timeout=2.0)

    held = pool.decide(at(100.0, {0: holding(3)}))
    turning = pool.decide(at(101.0, {0: holding(3, stuck_since=100.9)}))
    stuck = pool.decide(at(103.0, {0: holding(3, stuck_since=101.0)}))

    assert ([], [], [Inspect(0)]) == (held, turning, stuck)
    assert "silent for more than 2 s" in pool.journal[-1].why


def test_an_idle_loop_can_hang_too():
    """
    It may be blocked by something that belongs to no connection.
    """
    pool = running_pool(size=1, timeout=2.0)

    assert [Inspect(0)] == pool.decide(at(9.0, {0: holding(0, stuck_since=7.0)}))


def test_the_next_beat_that_is_due_is_waited_for():
    """
    A loop that beats announces its next beat; only then it begins to be silent.
    """
    pool = running_pool(size=1, timeout=2.0)

    pool.decide(at(5.0, {0: holding(1, stuck_since=5.5)}))

    assert 7.5 == pool.deadline()


def test_capacity_is_what_the_workers_report():
    """
    35 units of workers that hold ten each want four workers; with a spare one five.
    """
    pool = elastic(most=8)

    for now in (1.0, 1.1, 1.2, 1.3):
        pool.decide(at(now, {0: holding(18), 1: holding(17)}))

    assert 5 == pool.target


def test_a_surplus_worker_that_is_not_idle_is_drained_without_a_limit():
    """
    The one that holds fewest takes no more; its units end by themselves.
    """
    pool = elastic(ready=3)
    rows = {0: holding(2), 1: holding(1), 2: holding(2)}
    pool.decide(at(1.0, rows))

    (order,) = pool.decide(at(4.0, rows))

    assert Drain(1) == order
    assert pool.members.workers[1].kill_at is None
    leaving = {**rows, 1: holding(1, leaving=True)}
    assert [] == [each for each in pool.decide(at(5_000.0, leaving)) if isinstance(each, Kill)]


def test_a_worker_that_leaves_without_a_limit_is_still_watched():
    """
    Nothing else would ever end a loop that is stuck.
    """
    pool = elastic(ready=3)
    rows = {0: holding(2), 1: holding(1), 2: holding(2)}
    pool.decide(at(1.0, rows))
    pool.decide(at(4.0, rows))
    stuck = {**rows, 1: holding(1, leaving=True, stuck_since=5.0)}

    assert Inspect(1) in pool.decide(at(35.0, stuck))


def test_a_stop_limits_the_workers_that_were_draining_without_a_limit():
    """
    A stop concerns every worker, also one that could take all the time it needed.
    """
    pool = elastic(ready=3)
    rows = {0: holding(2), 1: holding(1), 2: holding(2)}
    pool.decide(at(1.0, rows))
    pool.decide(at(4.0, rows))
    pool.apply(StopRequested(), 10.0)
    for now in (10.0, 10.1):
        pool.decide(at(now, {**rows, 1: holding(1, leaving=True)}))

    assert 40.0 == pool.members.workers[1].kill_at


@pytest.mark.parametrize("capacity", [1, 10])
def test_blocking_workers_leave_only_when_they_are_idle(capacity):
    """
    Where a worker holds one unit, a busy one is never drained.
    """
    pool = elastic(ready=3, capacity=capacity)
    rows = {slot: busy(since=0.9) for slot in range(3)}
    pool.decide(at(1.0, rows))

    orders = pool.decide(at(8.0, rows))

    assert bool(orders) == (capacity > 1)


def test_a_worker_that_asks_for_time_gets_it():
    """
    EXTEND_TIMEOUT of a start, of work and of an end: nothing is overdue before.
    """
    pool = pool_of(ScalingLimits(minimum=1, maximum=1), boot_timeout=5.0, timeout=2.0)
    pool.decide(at(0.0))
    pool.apply(TimeExtended(0, 20.0), 4.0)

    assert [] == pool.decide(at(19.0))
    assert [Inspect(0)] == pool.decide(at(20.0))


def test_a_worker_that_asks_for_time_at_the_end_is_not_killed_before():
    """
    Neither by graceful-timeout nor by the end of the server.
    """
    pool = running_pool(size=1, graceful_timeout=5.0)
    pool.apply(StopRequested(), 1.0)
    for now in (1.0, 1.1, 1.2):
        pool.decide(at(now))
    pool.apply(TimeExtended(0, 30.0), 2.0)
    leaving = {0: WorkerReport(leaving=True)}

    late = pool.decide(at(29.0, leaving))
    end = pool.decide(at(30.0, leaving))

    assert ([], [Kill(0)]) == (late, end)


def test_a_worker_that_leaves_by_itself_is_replaced_at_once():
    """
    It is no capacity any more, and has graceful-timeout to be gone.
    """
    pool = running_pool(size=1, graceful_timeout=5.0)

    pool.apply(WorkerLeaving(0), 100.0)

    assert [Spawn(1, 1)] == pool.decide(at(100.0))
    assert State.DRAINING is pool.members.workers[0].state
    assert Cause.STOPPED == pool.cause_of(0, EXITED)
    assert Kill(0) in pool.decide(at(105.0))


def test_leaving_at_once_again_and_again_is_a_failure():
    """
    A program that is ready and leaves in the same moment would else be restarted at full speed.
    """
    pool = running_pool(size=1)
    pool.apply(WorkerLeaving(0), 1.0)
    pool.apply(WorkerExited(0, EXITED), 1.0)

    pool.decide(at(1.0))

    assert "restart" == pool.journal[-1].kind


def test_leaving_after_long_work_is_none():
    """
    A worker may have done enough.
    """
    pool = running_pool(size=1)
    pool.apply(WorkerLeaving(0), 100.0)
    pool.apply(WorkerExited(0, FAILED), 100.0)

    assert [Spawn(0, 1)] == pool.decide(at(100.0, {0: IDLE}))


def test_a_drained_worker_that_reports_that_it_leaves_changes_nothing():
    """
    STOPPING follows our own order as well.
    """
    pool = running_pool(size=2)
    pool.apply(StopRequested(), 1.0)
    for now in (1.0, 1.1, 1.2):
        pool.decide(at(now))

    pool.apply(WorkerLeaving(0), 1.3)

    assert Cause.STOPPED == pool.cause_of(0, EXITED)
