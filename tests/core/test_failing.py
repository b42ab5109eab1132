"""Starts that fail: how long to wait, and when the pool gives up."""

from itertools import pairwise

import pytest
from conversations import (
    FAILED,
    IMPATIENT,
    OUT_OF_MEMORY,
    SIGKILLED,
    SIGSEGVED,
    at,
    fixed,
    pool_of,
    running_pool,
)

from prefork.core.actions import Kill, Spawn
from prefork.core.events import (
    LimitsChanged,
    LoadFailed,
    MoldExited,
    SpawnFailed,
    StopRequested,
    TargetLoaded,
    WorkerExited,
    WorkerReady,
)
from prefork.core.states import ExitStatus, Mold


def test_after_a_failed_start_one_worker_tries_alone_and_the_others_follow_its_success():
    """
    Backoff, then one attempt after another; success, once confirmed, clears the failures.
    """
    pool = pool_of(fixed(3))
    pool.decide(at(0.0))
    for slot in range(3):
        pool.apply(TargetLoaded(slot), 0.5)
        pool.apply(WorkerExited(slot, FAILED), 1.0)

    waiting = pool.decide(at(1.0))
    attempt = pool.deadline()
    alone = pool.decide(at(attempt))
    pool.apply(WorkerReady(0), 2.0)

    assert [] == waiting
    assert attempt == 1.1
    assert [Spawn(0, 1)] == alone
    assert [Spawn(1, 1)] == pool.decide(at(2.0))
    assert 3.0 == pool.deadline()
    assert [Spawn(2, 1)] == pool.decide(at(3.0))


def test_workers_that_die_as_soon_as_they_are_ready_do_not_clear_one_anothers_failures():
    """
    Ready is confirmed only after a while: two that crash by turns are backed off all the same.
    """
    pool = pool_of(fixed(2))
    now, attempts = 0.0, []
    for _ in range(6):
        for action in pool.decide(at(now)):
            assert isinstance(action, Spawn)
            attempts.append(now)
            pool.apply(TargetLoaded(action.slot), now)
            pool.apply(WorkerReady(action.slot), now)
            pool.apply(WorkerExited(action.slot, SIGSEGVED), now + 0.01)
        pool.decide(at(now + 0.01))
        now = pool.deadline() or now

    waits = [later - earlier for earlier, later in pairwise(attempts) if later > earlier]
    assert waits == sorted(waits)
    assert waits[-1] > 1.0


def fail_until_the_end(pool, fail) -> float:
    """Let each worker fail by ``fail(slot, now)``; return when the pool has ended."""
    now = 0.0
    for _ in range(1_000):
        for action in pool.decide(at(now)):
            if isinstance(action, Spawn):
                fail(action.slot, now)
        if pool.finished:
            return now
        now = max(pool.deadline(), now)
    raise AssertionError("the pool never gave up")


@pytest.mark.parametrize("size", [1, 4])
def test_workers_that_keep_failing_end_the_server_with_3(size):
    """
    So many failed attempts within the period and no worker left: give up.
    """
    pool = pool_of(fixed(size), restart=IMPATIENT)

    def fail(slot, now):
        pool.apply(TargetLoaded(slot), now)
        pool.apply(WorkerExited(slot, FAILED), now)

    end = fail_until_the_end(pool, fail)

    assert 3 == pool.exit_status
    assert pytest.approx(0.3) == end
    assert ["restart"] * (len(pool.journal) - 1) + ["stop"] == [it.kind for it in pool.journal]


def test_processes_that_the_system_refuses_end_the_server_with_3():
    """
    SpawnFailed is a failed start.
    """
    pool = pool_of(fixed(2), restart=IMPATIENT)

    fail_until_the_end(pool, lambda slot, now: pool.apply(SpawnFailed(slot, "EAGAIN"), now))

    assert 3 == pool.exit_status


def test_workers_that_are_ready_and_die_without_a_connection_end_the_server_too():
    """
    Such a worker's success was none: the wait doubles on, and the limits hold.
    """
    pool = pool_of(fixed(1), restart=IMPATIENT)

    def fail(slot, now):
        pool.apply(WorkerReady(slot), now)
        pool.apply(WorkerExited(slot, SIGSEGVED, accepted=0), now)

    end = fail_until_the_end(pool, fail)

    assert 3 == pool.exit_status
    assert pytest.approx(0.3) == end


@pytest.mark.parametrize(
    ("status", "accepted", "ready_for", "waits"),
    [
        (SIGSEGVED, 0, 1.0, True),
        (OUT_OF_MEMORY, 0, 1.0, True),
        (FAILED, 0, 1.0, True),
        (FAILED, 1, 1.0, False),
        (SIGKILLED, 0, 1.0, False),
        (ExitStatus(signal="SIGTERM"), 0, 1.0, False),
        (SIGSEGVED, 0, 3_600.0, False),
    ],
)
def test_what_counts_as_a_failed_start_of_a_ready_worker(status, accepted, ready_for, waits):
    """
    An early death without any connection that came from no signal of others.
    """
    pool = running_pool(size=1)

    pool.apply(WorkerExited(0, status, accepted), ready_for)

    assert waits is ([] == pool.decide(at(ready_for)))


def test_with_a_ready_worker_left_the_server_goes_on_as_slowly_as_it_may():
    """
    Giving up would end the workers that serve: instead an attempt every max_delay.
    """
    pool = running_pool(size=2, restart=IMPATIENT)
    pool.apply(WorkerExited(1, SIGKILLED, 1), 1.0)
    now = 1.0
    attempts = []
    for _ in range(6):
        while not pool.decide(at(now)):
            now = pool.deadline()
        attempts.append(now)
        pool.apply(WorkerExited(1, SIGKILLED), now)

    assert not pool.finished
    # Two attempts a minute are fewer than the intensity again: the doubling goes on from there.
    assert [1.0, 1.1, 1.3, 31.3] == pytest.approx(attempts[:4])


@pytest.mark.parametrize(
    "event",
    [
        LoadFailed(0, "ModuleNotFoundError: No module named 'x'"),
        WorkerExited(0, FAILED),
        WorkerExited(0, ExitStatus(code=0)),
    ],
)
def test_a_target_that_cannot_be_loaded_ends_the_server_with_4(event):
    """
    No worker was ever ready and the target is the reason: the others are killed at once.
    """
    pool = pool_of(fixed(2))
    pool.decide(at(0.0))

    pool.apply(event, 1.0)
    orders = pool.decide(at(1.0))

    assert 4 == pool.exit_status
    assert Kill(1) in orders
    assert not any(isinstance(order, Spawn) for order in orders)


def test_a_mold_that_cannot_load_the_target_ends_the_server_with_4():
    """
    The mold is the one that loads; its failure is the target's.
    """
    pool = pool_of(fixed(2), fork=True)
    pool.decide(at(0.0))

    pool.apply(LoadFailed(Mold(1), "SyntaxError"), 1.0)
    pool.decide(at(1.0))
    pool.apply(MoldExited(1, FAILED), 1.1)

    assert pool.finished
    assert 4 == pool.exit_status


@pytest.mark.parametrize(
    "status", [SIGSEGVED, SIGKILLED], ids=["a fault", "somebody else's signal"]
)
def test_a_signal_during_the_import_is_a_failed_start_and_no_load_failure(status):
    """
    Only an exit of its own, or its own word, means that the target cannot be loaded.
    """
    pool = pool_of(fixed(1))
    pool.decide(at(0.0))

    pool.apply(WorkerExited(0, status), 1.0)

    assert [] == pool.decide(at(1.0))
    assert pool.deadline() == 1.1


def test_a_target_that_breaks_while_the_server_runs_is_only_a_failed_start():
    """
    Once a worker was ready, a failed load waits and tries again.
    """
    pool = running_pool(size=2)
    pool.apply(WorkerExited(1, SIGKILLED, 1), 5.0)
    pool.decide(at(5.0))

    pool.apply(LoadFailed(1, "half-written file"), 6.0)
    pool.apply(WorkerExited(1, FAILED), 6.0)

    assert [] == pool.decide(at(6.0))
    assert pool.deadline() == 6.1
    assert 0 == pool.exit_status


def test_a_stop_that_was_asked_for_is_not_turned_into_a_failure():
    """
    The import fails while the server stops: it stopped as asked.
    """
    pool = pool_of(fixed(1))
    pool.decide(at(0.0))
    pool.apply(StopRequested(), 1.0)

    pool.apply(LoadFailed(0, "interrupted"), 1.0)
    pool.decide(at(1.0))
    pool.apply(WorkerExited(0, FAILED), 1.0)

    assert pool.finished
    assert 0 == pool.exit_status


def test_a_process_that_was_killed_before_it_existed_is_no_failed_start():
    """
    Its order failed when it was not wanted any more.
    """
    pool = pool_of(fixed(2))
    pool.decide(at(0.0))
    pool.apply(LimitsChanged(1, 1), 0.1)
    pool.decide(at(0.1))

    pool.apply(SpawnFailed(1, "the mold died before it forked the worker"), 0.2)

    assert "restart" not in [it.kind for it in pool.journal]


def test_the_server_gives_up_once():
    """
    A second worker that cannot load the target changes nothing.
    """
    pool = pool_of(fixed(2))
    pool.decide(at(0.0))

    pool.apply(LoadFailed(0, "SyntaxError"), 1.0)
    pool.apply(LoadFailed(1, "SyntaxError"), 1.0)

    assert ["stop"] == [it.kind for it in pool.journal]
