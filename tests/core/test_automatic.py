"""Automatic limits follow what the workers turn out to be."""

import pytest
from conversations import at, pool_of

from prefork.core.events import LimitsChanged, MoldReady, WorkerReady
from prefork.core.limits import AutomaticMaximum, ScalingLimits

AUTO = ScalingLimits(minimum=1, maximum=8, automatic=AutomaticMaximum(blocking=8, event_loop=2))


def maximum_of(pool, now=1.0):
    pool.decide(at(now))
    return pool.limits.scaling.maximum


@pytest.mark.parametrize(("is_loop", "maximum"), [(True, 2), (False, 8), (None, 8)])
def test_the_kind_of_the_first_worker_decides_how_many_there_may_be(is_loop, maximum):
    """
    An event loop wants one worker for each CPU, whatever the start has assumed.
    """
    pool = pool_of(AUTO)
    pool.decide(at(0.0))

    pool.apply(WorkerReady(0, 100, is_loop), 1.0)

    assert maximum == maximum_of(pool)


def test_the_mold_knows_it_before_any_worker():
    """
    It has loaded the target.
    """
    pool = pool_of(AUTO, fork=True)
    pool.decide(at(0.0))

    pool.apply(MoldReady(1, 100, is_loop=True), 1.0)

    assert 2 == maximum_of(pool)
    assert 100 == pool.limits.scaling.capacity


def test_a_minimum_is_never_above_the_maximum():
    """
    A minimum that was set gives way to what the kind allows.
    """
    limits = ScalingLimits(minimum=4, maximum=8, automatic=AutomaticMaximum(8, 2))
    pool = pool_of(limits)
    pool.decide(at(0.0))

    pool.apply(WorkerReady(0, 100, is_loop=True), 1.0)

    assert 2 == maximum_of(pool)
    assert 2 == pool.limits.scaling.minimum
    assert "the limits are 2 to 2 now" == pool.journal[-1].why


@pytest.mark.parametrize("fork", [True, False])
def test_what_an_operator_chose_before_the_first_worker_was_ready_stays(fork):
    """
    ``prefork scale 6`` during the start is not undone when the kind becomes known.
    """
    pool = pool_of(AUTO, fork=fork)
    pool.decide(at(0.0))
    pool.apply(LimitsChanged(6, 6), 0.5)
    pool.decide(at(0.5))

    pool.apply(MoldReady(1, 100, is_loop=True) if fork else WorkerReady(0, 100, True), 1.0)

    assert 6 == maximum_of(pool)
    assert 6 == pool.target


def test_what_an_operator_chose_later_stays_too():
    """
    The next worker reports the same kind again.
    """
    pool = pool_of(AUTO)
    pool.decide(at(0.0))
    pool.apply(WorkerReady(0, 100, is_loop=True), 0.1)
    pool.decide(at(0.1))
    pool.apply(LimitsChanged(3, 3), 0.5)
    pool.decide(at(0.5))

    pool.apply(WorkerReady(1, 100, is_loop=True), 1.0)

    assert 3 == maximum_of(pool)
