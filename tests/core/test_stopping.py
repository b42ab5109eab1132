"""How the server ends."""

import pytest
from conversations import EXITED, SIGKILLED, at, busy, fixed, forking_pool, pool_of, running_pool

from prefork.core.actions import Drain, Kill, Nudge, Spawn, StopListening
from prefork.core.events import ForkRefused, MoldReady, StopRequested, WorkerExited, WorkerReady
from prefork.core.states import Cause, Mold, ServerState


def test_a_graceful_stop_stops_listening_then_waits_until_the_queue_is_empty():
    """
    Nothing new; the queued ones are still accepted; with an empty queue all workers are drained.
    """
    pool = running_pool(size=2)
    pool.apply(StopRequested(), 10.0)

    closed = pool.decide(at(10.0, queued=0))
    waiting = pool.decide(at(10.01, queued=1))
    drained = pool.decide(at(10.02, queued=0))

    assert [StopListening()] == closed
    assert [] == waiting
    assert [Drain(0), Drain(1)] == drained
    assert ServerState.STOPPING == pool.state


def test_a_snapshot_from_before_listening_stopped_does_not_count():
    """
    Between that snapshot and the closing a connection may have arrived.
    """
    pool = running_pool(size=1)
    pool.apply(StopRequested(), 10.0)
    pool.decide(at(10.0))

    assert [] == pool.decide(at(10.0))
    assert pool.deadline() == 10.01


def test_workers_are_still_replaced_while_clients_wait():
    """
    A queue needs a worker that empties it.
    """
    pool = running_pool(size=1)
    pool.apply(StopRequested(), 10.0)
    pool.decide(at(10.0, queued=3))

    pool.apply(WorkerExited(0, SIGKILLED, 5), 10.005)

    assert [Spawn(0, 1)] == pool.decide(at(10.005, queued=3))


def test_an_unknown_queue_is_not_waited_for():
    """
    What cannot be seen cannot be waited for.
    """
    pool = running_pool(size=1)
    pool.apply(StopRequested(), 10.0)
    pool.decide(at(10.0, queued=None))

    assert [Drain(0)] == pool.decide(at(10.01, queued=None))


def test_the_mold_and_those_still_starting_go_too():
    """
    A starting worker holds nothing and is killed; the ready mold is drained.
    """
    pool = forking_pool(size=2)
    pool.apply(WorkerExited(1, SIGKILLED, 1), 9.0)
    pool.decide(at(9.0))
    pool.apply(StopRequested(), 10.0)
    pool.decide(at(10.0))

    orders = pool.decide(at(10.01))

    assert {Drain(Mold(1)), Drain(0), Kill(1)} == set(orders)


def test_one_patience_covers_both_phases():
    """
    graceful_timeout counts from the request, however long the queue took.
    """
    pool = running_pool(size=1, graceful_timeout=5.0, timeout=0.0)
    pool.apply(StopRequested(), 10.0)
    pool.decide(at(10.0, queued=1))
    pool.decide(at(14.0, queued=0))
    rows = {0: busy(11.0, leaving=True)}
    pool.decide(at(14.1, rows))
    deadline = pool.deadline()

    killed = pool.decide(at(15.0, rows))
    cause = pool.cause_of(0, SIGKILLED)
    pool.apply(WorkerExited(0, SIGKILLED, 1), 15.0)

    assert deadline == 15.0
    assert [Kill(0)] == killed
    assert Cause.STOPPED == cause
    assert pool.finished
    assert 0 == pool.exit_status


def test_a_queue_that_never_empties_does_not_hold_the_server_up():
    """
    At graceful_timeout every worker leaves, whatever is queued.
    """
    pool = running_pool(size=1, graceful_timeout=5.0)
    pool.apply(StopRequested(), 10.0)
    now = 10.0
    while not any(isinstance(order, Kill) for order in pool.decide(at(now, queued=9))):
        now = pool.deadline()

    assert now == 15.0


def test_a_second_request_at_once_kills_every_process():
    """
    At once means at once, also for workers that were draining.
    """
    pool = forking_pool(size=2)
    pool.apply(StopRequested(), 10.0)
    pool.decide(at(10.0))
    pool.decide(at(10.01))

    pool.apply(StopRequested(at_once=True), 10.02)

    assert {Kill(Mold(1)), Kill(0), Kill(1)} == set(pool.decide(at(10.02)))


def test_a_second_graceful_request_changes_nothing():
    """
    Asking twice neither restarts the patience nor the phases.
    """
    pool = running_pool(size=1, graceful_timeout=5.0)
    pool.apply(StopRequested(), 10.0)
    pool.decide(at(10.0))
    pool.decide(at(10.01))

    pool.apply(StopRequested(), 12.0)

    assert [Nudge(0)] == pool.decide(at(12.0))
    assert [Kill(0)] == pool.decide(at(15.0))


def test_ready_reported_too_late_changes_nothing():
    """
    The worker's word and our order crossed each other.
    """
    pool = pool_of(fixed(1))
    pool.decide(at(0.0))
    pool.apply(StopRequested(at_once=True), 1.0)
    pool.decide(at(1.0))

    pool.apply(WorkerReady(0), 1.1)
    orders = pool.decide(at(1.1))
    pool.apply(WorkerExited(0, SIGKILLED), 1.2)

    assert [] == orders
    assert pool.finished


def test_without_any_grace_the_stop_kills():
    """
    A graceful_timeout of 0 leaves no time to finish.
    """
    pool = running_pool(size=1, graceful_timeout=0.0)
    pool.apply(StopRequested(), 10.0)

    assert [StopListening(), Kill(0)] == pool.decide(at(10.0))


def test_an_empty_server_ends_as_soon_as_it_is_asked():
    """
    Nothing to wait for: finished after the last look at the queue.
    """
    pool = pool_of(fixed(0))
    pool.decide(at(0.0))
    pool.apply(StopRequested(), 1.0)
    pool.decide(at(1.0))

    pool.decide(at(1.01))

    assert pool.finished


def test_the_totals_count_what_became_of_every_worker():
    """
    Spawned counts orders; crashed counts those that died unasked while ready.
    """
    pool = running_pool(size=2)
    pool.apply(WorkerExited(0, SIGKILLED, 1), 1.0)
    pool.decide(at(1.0))
    pool.apply(StopRequested(at_once=True), 2.0)
    pool.decide(at(2.0))
    for slot in (0, 1):
        pool.apply(WorkerExited(slot, EXITED), 2.1)

    assert (3, 3, 1, 0) == (
        pool.totals.spawned,
        pool.totals.exited,
        pool.totals.crashed,
        pool.totals.hung,
    )


@pytest.mark.parametrize(
    "event",
    [WorkerReady(7), WorkerExited(7, EXITED), MoldReady(1), ForkRefused(2, "threads")],
)
def test_an_event_about_an_unknown_process_is_a_key_error(event):
    """
    The shell broke its promise: KeyError, never handled.
    """
    pool = running_pool(size=1)

    with pytest.raises(KeyError):
        pool.apply(event, 1.0)
