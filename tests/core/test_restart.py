"""When the next worker starts after failed starts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.core.generation import REMEMBERED, FailedStarts
from prefork.core.restart import RestartLimits, next_attempt
from prefork.core.states import WorkerRecord

PATIENT = RestartLimits(intensity=10_000)


@pytest.mark.parametrize(
    ("failures", "delay"),
    [(1, 0.1), (2, 0.2), (5, 1.6), (9, 25.6), (10, 30.0), (5_000, 30.0)],
)
def test_each_failure_doubles_the_wait_up_to_the_limit(failures, delay):
    """
    The wait after n failures is first_delay * 2**(n-1), at most max_delay.
    """
    failed_at = [100.0] * failures

    assert 100.0 + delay == pytest.approx(next_attempt(failed_at, 100.0, PATIENT))


def test_without_a_failure_the_next_attempt_is_now():
    """
    Nothing failed since the last success: no wait.
    """
    assert next_attempt([], 7.0, PATIENT) == 7.0


@pytest.mark.parametrize(
    ("failed_at", "now", "gives_up"),
    [
        ([1.0, 2.0], 3.0, False),
        ([1.0, 2.0, 3.0], 3.0, True),
        ([1.0, 2.0, 3.0], 61.0, False),
        ([1.0] * 5_000, 30.0, True),
        ([1.0] * 5_000, 61.0, False),
    ],
)
def test_too_many_failures_within_the_period_give_up(failed_at, now, gives_up):
    """
    Intensity failures less than period seconds ago are the end.
    """
    limits = RestartLimits(intensity=3, period=60.0)

    assert gives_up == (next_attempt(failed_at, now, limits) is None)


@given(st.lists(st.floats(0, 1e6), max_size=50).map(sorted), st.floats(0, 1e6))
def test_the_next_attempt_is_never_later_than_the_longest_wait(failed_at, later):
    """
    Whatever happened: within max_delay of the last failure there is an attempt, or the end.
    """
    now = (failed_at or [0.0])[-1] + later

    attempt = next_attempt(failed_at, now, RestartLimits())

    assert attempt is None or attempt <= max(now, (failed_at or [now])[-1] + 30.0)


def record(started: float) -> WorkerRecord:
    return WorkerRecord(slot=0, generation=1, started=started, since=started)


def test_workers_started_together_fail_together():
    """
    Eight workers of one wave that fail are one failed attempt.
    """
    failures = FailedStarts(RestartLimits())

    for number in range(8):
        failures.add(record(started=0.0), 1.0 + number)

    assert [1.0] == failures.moments


def test_a_success_that_was_none_counts_its_predecessors_failures_again():
    """
    A worker that is ready and dies at once escalates the wait as if it had not been ready.
    """
    failures = FailedStarts(RestartLimits())
    for moment in (1.0, 2.0):
        failures.add(record(started=moment), moment + 0.5)
    seemingly_fine = record(started=3.0)

    failures.clear(seemingly_fine)
    cleared = list(failures.moments)
    failures.add(seemingly_fine, 4.0)

    assert [] == cleared
    assert [1.5, 2.5, 4.0] == failures.moments


def test_a_night_of_failures_needs_no_more_memory_than_an_hour_of_them():
    """
    Only as many failures are remembered as can make a difference.
    """
    failures = FailedStarts(RestartLimits(intensity=0))

    for moment in range(5_000):
        failures.add(record(started=moment), moment + 0.5)

    assert REMEMBERED == len(failures)
    assert 4_999.5 + 30.0 == failures.next_attempt(5_000.0)
