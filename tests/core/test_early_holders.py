"""Programs that may serve before they report ready, or that never report what they hold."""

import pytest
from conversations import at, pool_of

from prefork.core.actions import Drain, Kill
from prefork.core.events import StopRequested, TargetLoaded, WorkerLeaving, WorkerReady
from prefork.core.limits import ScalingLimits
from prefork.core.snapshot import WorkerReport


@pytest.mark.parametrize(("early", "order"), [(True, Drain(0)), (False, Kill(0))])
def test_a_worker_that_may_hold_something_before_it_is_ready_is_drained(early, order):
    """
    At the end of the server; anybody else that starts holds nothing, and is killed.
    """
    pool = pool_of(ScalingLimits(minimum=1, maximum=1), early_holders=early)
    pool.decide(at(0.0))
    pool.apply(TargetLoaded(0), 0.1)
    pool.apply(StopRequested(), 0.2)

    orders = [each for now in (0.2, 0.3) for each in pool.decide(at(now))]

    assert order in orders


def test_the_queues_have_half_of_the_time_and_draining_workers_the_other():
    """
    A queue that never runs empty leaves workers the time to finish.
    """
    pool = pool_of(ScalingLimits(minimum=1, maximum=1), graceful_timeout=10.0)
    pool.decide(at(0.0))
    pool.apply(WorkerReady(0), 0.0)
    pool.apply(StopRequested(), 1.0)
    busy = {0: WorkerReport(active=1)}

    early = [each for now in (1.0, 1.1, 5.9) for each in pool.decide(at(now, busy, queued=3))]
    half = pool.decide(at(6.0, busy, queued=3))
    end = pool.decide(at(11.0, {0: WorkerReport(active=1, leaving=True)}, queued=3))

    assert Drain(0) not in early
    assert ([Drain(0)], [Kill(0)]) == (half, end)


def test_a_worker_that_has_never_reported_its_units_is_not_idle():
    """
    No data, no decision: such a pool only grows; other limits it obeys.
    """
    limits = ScalingLimits(minimum=1, maximum=3, spare=0, scale_down_delay=1.0)
    pool = pool_of(limits)
    for slot in range(3):
        pool.decide(at(slot * 0.1 - 1.0, queued=30))
        pool.apply(WorkerReady(slot, 1), slot * 0.1 - 1.0)
    silent = {slot: WorkerReport(is_known=False) for slot in range(3)}

    orders = [each for now in range(1, 50) for each in pool.decide(at(float(now), silent))]

    assert [] == orders


def test_leaving_as_soon_as_it_is_ready_is_a_failed_start():
    """
    Otherwise it would be replaced at full speed, while it takes its time to end.
    """
    pool = pool_of(ScalingLimits(minimum=1, maximum=1))
    pool.decide(at(0.0))
    pool.apply(WorkerReady(0), 5.0)

    pool.apply(WorkerLeaving(0), 5.1)

    assert [] == pool.decide(at(5.1))
    assert "restart" == pool.journal[-1].kind
