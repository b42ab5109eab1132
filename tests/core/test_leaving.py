"""Workers that leave with all the time they want: only as long as they hold something."""

from conversations import at, pool_of

from prefork.core.actions import Drain, Kill
from prefork.core.events import WorkerReady
from prefork.core.limits import ScalingLimits
from prefork.core.snapshot import WorkerReport


def shrinking():
    """A pool of three that has just told slot 2, which holds one unit, to leave."""
    limits = ScalingLimits(minimum=1, maximum=3, spare=0, scale_down_delay=1.0)
    pool = pool_of(limits, graceful_timeout=5.0)
    for slot in range(3):
        pool.decide(at(slot * 0.1 - 1.0, queued=30))
        pool.apply(WorkerReady(slot, 10), slot * 0.1 - 1.0)
    rows = {0: WorkerReport(active=2), 1: WorkerReport(active=2), 2: WorkerReport(active=1)}
    pool.decide(at(1.0, rows))
    assert [Drain(2)] == pool.decide(at(3.0, rows))
    return pool


def kills(orders):
    return [order for order in orders if isinstance(order, Kill)]


def test_a_leaver_that_holds_nothing_any_more_has_a_limit():
    """
    What keeps it then is no client: graceful-timeout, from the moment that it is free.
    """
    pool = shrinking()
    held = {0: WorkerReport(active=2), 1: WorkerReport(active=2)}

    pool.decide(at(100.0, {**held, 2: WorkerReport(active=1, leaving=True)}))
    free = kills(pool.decide(at(200.0, {**held, 2: WorkerReport(leaving=True)})))
    late = kills(pool.decide(at(205.0, {**held, 2: WorkerReport(leaving=True)})))

    assert ([], [Kill(2)]) == (free, late)


def test_a_leaver_that_holds_an_idle_connection_is_not_done():
    """
    A drain is finished when neither a unit nor a connection is left.
    """
    pool = shrinking()
    held = {0: WorkerReport(active=2), 1: WorkerReport(active=2)}
    idle = WorkerReport(connections=1, leaving=True)

    pool.decide(at(100.0, {**held, 2: idle}))

    assert [] == kills(pool.decide(at(200.0, {**held, 2: idle})))
