"""Which processes are started, where and when."""

import pytest
from conversations import (
    FAILED,
    SIGKILLED,
    SIGSEGVED,
    at,
    fixed,
    forking_pool,
    pool_of,
    running_pool,
)

from prefork.core.actions import Drain, Spawn, StartMold
from prefork.core.events import (
    ForkRefused,
    MoldExited,
    MoldReady,
    TargetLoaded,
    WorkerExited,
    WorkerReady,
)
from prefork.core.limits import ScalingLimits
from prefork.core.pool import WorkerReport
from prefork.core.states import ExitStatus, Mold


def test_a_new_pool_starts_its_workers_in_the_lowest_slots():
    """
    Missing workers are ordered at once, lowest slot first.
    """
    pool = pool_of(fixed(3))

    assert [Spawn(0, 1), Spawn(1, 1), Spawn(2, 1)] == pool.decide(at(0.0))


def test_nothing_is_ordered_twice():
    """
    What decide returned counts as ordered.
    """
    pool = pool_of(fixed(3))
    pool.decide(at(0.0))

    assert [] == pool.decide(at(0.0))


def test_so_many_boot_at_once_and_no_more():
    """
    The next worker is ordered when one of those starting is ready.
    """
    pool = pool_of(fixed(5), starting_at_once=2)
    first = pool.decide(at(0.0))

    pool.apply(WorkerReady(1), 1.0)

    assert [Spawn(0, 1), Spawn(1, 1)] == first
    assert [Spawn(2, 1)] == pool.decide(at(1.0))


@pytest.mark.parametrize("status", [SIGKILLED, SIGSEGVED, FAILED])
def test_a_ready_worker_that_dies_is_replaced_at_once_in_its_slot(status):
    """
    No wait for the successor of a worker that had served.
    """
    pool = running_pool(size=2)

    pool.apply(WorkerExited(0, status, accepted=5), 10.0)

    assert [Spawn(0, 1)] == pool.decide(at(10.0))


def test_a_successor_takes_the_lowest_free_slot_while_the_old_one_is_still_there():
    """
    A slot belongs to its process until that is gone.
    """
    pool = pool_of(ScalingLimits(minimum=1, maximum=2), graceful_timeout=5.0)
    pool.decide(at(0.0))
    pool.apply(WorkerReady(0), 0.0)
    pool.decide(at(0.0, queued=1))
    pool.apply(WorkerReady(1), 0.1)
    pool.decide(at(0.2))
    retired = pool.decide(at(40.0))

    pool.apply(WorkerExited(0, SIGKILLED, 1), 40.1)

    assert [Drain(1)] == retired
    assert [Spawn(0, 1)] == pool.decide(at(40.1, {1: WorkerReport(leaving=True)}))


def test_with_a_mold_the_workers_wait_for_it():
    """
    First the mold; workers are ordered from it when it is ready, not when it has loaded.
    """
    pool = pool_of(fixed(2), fork=True)

    first = pool.decide(at(0.0))
    pool.apply(TargetLoaded(Mold(1)), 1.0)
    loaded = pool.decide(at(1.0))
    pool.apply(MoldReady(1), 1.1)

    assert [StartMold(1)] == first
    assert [] == loaded
    assert [Spawn(0, 1, fork=True), Spawn(1, 1, fork=True)] == pool.decide(at(1.1))


def test_a_dead_mold_is_started_again_and_the_workers_stay():
    """
    Workers do not need their mold; only missing ones wait for the new one.
    """
    pool = forking_pool(size=2)

    pool.apply(MoldExited(1, SIGKILLED), 10.0)
    pool.apply(WorkerExited(1, SIGKILLED, 3), 10.0)
    mold = pool.decide(at(10.0))
    pool.apply(MoldReady(1), 11.0)

    assert [StartMold(1)] == mold
    assert [Spawn(1, 1, fork=True)] == pool.decide(at(11.0))


def test_a_mold_that_dies_as_soon_as_it_is_ready_is_waited_for_longer_and_longer():
    """
    A mold's death counts as a failed start as long as no worker has become ready.
    """
    pool = pool_of(fixed(1), fork=True)
    now, waits = 0.0, []
    for _ in range(5):
        pool.decide(at(now))
        pool.apply(MoldReady(1), now)
        pool.apply(MoldExited(1, SIGSEGVED), now + 0.01)
        pool.decide(at(now + 0.01))
        waits.append(round(pool.deadline() - now - 0.01, 6))
        now = pool.deadline()

    assert [0.1, 0.2, 0.4, 0.8, 1.6] == waits


def test_a_target_that_must_not_be_forked_is_spawned():
    """
    A refused fork retires the mold for good and spawns; the reason is in the journal.
    """
    pool = pool_of(fixed(1), fork=True)
    pool.decide(at(0.0))

    pool.apply(TargetLoaded(Mold(1)), 1.0)
    pool.apply(ForkRefused(1, "its import started thread 'pump'"), 1.0)
    orders = pool.decide(at(1.0))
    pool.apply(MoldExited(1, ExitStatus(code=0)), 1.1)

    assert [Drain(Mold(1)), Spawn(0, 1, fork=False)] == orders
    assert [] == pool.decide(at(1.1))
    assert "start method" == pool.journal[-1].kind
    assert "pump" in pool.journal[-1].why


@pytest.mark.parametrize(
    ("minimum", "fork", "state"),
    [(1, False, "starting"), (0, False, "running"), (0, True, "starting")],
)
def test_the_server_runs_when_it_could_serve(minimum, fork, state):
    """
    Running is: a worker was ready, or none is wanted and one could be had at once.
    """
    pool = pool_of(ScalingLimits(minimum=minimum, maximum=2), fork=fork)

    pool.decide(at(0.0))

    assert state == pool.state
