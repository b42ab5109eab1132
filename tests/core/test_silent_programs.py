"""Programs that know nothing of us: when silence counts as ready, and how a hung one is ended."""

import pytest
from conversations import SIGKILLED, at, busy, fixed, pool_of
from hypothesis import given
from hypothesis import strategies as st

from prefork.core.actions import Abort, CountAsReady, Inspect, Kill, Spawn
from prefork.core.events import (
    Event,
    IncidentRecorded,
    ProcessSuspended,
    ProgramReported,
    ProgramRuns,
    StopRequested,
    WorkerExited,
    WorkerReady,
)
from prefork.core.states import Cause, State


def started(**limits):
    """A pool of one program that has just become one, at 1.0."""
    pool = pool_of(fixed(1), ready_after=0.5, abort_patience=1.0, timeout=2.0, **limits)
    pool.decide(at(0.0))
    pool.apply(ProgramRuns(0), 1.0)
    return pool


def serving(**limits):
    pool = started(**limits)
    pool.decide(at(1.0))
    pool.apply(WorkerReady(0), 1.0)
    pool.decide(at(1.0))
    return pool


def test_a_silent_program_counts_as_ready_after_a_while():
    """
    Not before; and the wake-up is planned for that moment.
    """
    pool = started()

    early = pool.decide(at(1.4))
    deadline = pool.deadline()
    counted = pool.decide(at(1.5))

    assert ([], 1.5, [CountAsReady(0)]) == (early, deadline, counted)
    assert State.READY is pool.members.workers[0].state
    assert "running" == pool.state


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_program_that_has_reported_anything_reports_ready_itself(order):
    """
    Whether its first notification comes before or after it became the program.
    """
    pool = pool_of(fixed(1), ready_after=0.5)
    pool.decide(at(0.0))
    events: list[Event] = [ProgramReported(0), ProgramRuns(0)]
    for event in events if order == "before" else reversed(events):
        pool.apply(event, 1.0)

    assert [] == pool.decide(at(30.0))
    assert State.STARTING is pool.members.workers[0].state


def test_without_a_time_for_it_silence_is_never_ready():
    """
    ``ready-after`` of 0 waits for a notification.
    """
    pool = pool_of(fixed(1))
    pool.decide(at(0.0))

    pool.apply(ProgramRuns(0), 1.0)

    assert [] == pool.decide(at(30.0))


def test_a_hung_program_is_aborted_first_and_killed_a_second_later():
    """
    SIGABRT lets it print its stacks; its successor is not kept waiting.
    """
    pool = serving()
    rows = {0: busy(since=2.0)}

    inspection = pool.decide(at(4.0, rows))
    pool.apply(IncidentRecorded(0), 4.1)
    abort = pool.decide(at(4.1, rows))
    deadline = pool.deadline()
    early = pool.decide(at(5.0, rows))
    killed = pool.decide(at(5.1, rows))

    assert [Inspect(0)] == inspection
    assert [Abort(0), Spawn(1, 1)] == abort
    assert 5.1 == pytest.approx(deadline)
    assert ([], [Kill(0)]) == (early, killed)
    assert Cause.HUNG is pool.cause_of(0, SIGKILLED)


def test_an_incident_that_comes_late_does_not_shorten_the_moment_to_print():
    """
    The program was aborted because its incident took too long.
    """
    pool = serving()
    rows = {0: busy(since=2.0)}
    pool.decide(at(4.0, rows))
    abort = pool.decide(at(4.5, rows))

    pool.apply(IncidentRecorded(0), 4.6)

    assert Abort(0) in abort
    assert [] == pool.decide(at(4.6, rows))


def test_a_suspended_program_could_print_nothing_and_is_killed():
    """
    A stopped process handles no signal.
    """
    pool = serving()
    pool.apply(ProcessSuspended(0), 2.0)
    pool.decide(at(2.0))
    pool.decide(at(4.0))
    pool.apply(IncidentRecorded(0), 4.1)

    assert Kill(0) in pool.decide(at(4.1))


def test_an_aborted_program_that_ends_is_not_killed():
    """
    It is gone, and so is the kill.
    """
    pool = serving()
    rows = {0: busy(since=2.0)}
    pool.decide(at(4.0, rows))
    pool.decide(at(4.5, rows))

    pool.apply(WorkerExited(0, SIGKILLED, 1), 4.7)

    assert [] == pool.decide(at(5.5))


@given(st.lists(st.sampled_from(["runs", "reports", "waits"]), max_size=12), st.floats(0.1, 9.0))
def test_a_program_is_counted_as_ready_at_most_once_and_only_if_silent(history, ready_after):
    """
    In every order of events.
    """
    pool = pool_of(fixed(1), ready_after=ready_after, boot_timeout=0.0)
    pool.decide(at(0.0))
    now, counted, reported = 0.0, 0, False
    for what in history:
        now += 1.0
        if what == "runs":
            pool.apply(ProgramRuns(0), now)
        elif what == "reports":
            reported = reported or not counted
            pool.apply(ProgramReported(0), now)
        found = pool.decide(at(now)).count(CountAsReady(0))
        assert not (found and reported)
        counted += found

    assert counted <= 1


def test_a_stop_at_once_kills_a_healthy_program_without_abort():
    """
    Only stacks of a hung process are of use.
    """
    pool = serving()

    pool.apply(StopRequested(at_once=True), 2.0)

    assert [Kill(0)] == pool.decide(at(2.0))
