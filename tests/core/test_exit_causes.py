"""Why a worker is gone."""

import pytest
from conversations import EXITED, FAILED, OUT_OF_MEMORY, SIGKILLED, SIGSEGVED

from prefork.core.lifecycle import exit_cause, is_failed_start
from prefork.core.states import Cause, ExitStatus, State, WorkerRecord

SIGTERMED = ExitStatus(signal="SIGTERM")


@pytest.mark.parametrize(
    ("state", "leaving_for", "status", "cause"),
    [
        (State.STARTING, None, FAILED, Cause.FAILED_TO_START),
        (State.STARTING, None, SIGSEGVED, Cause.FAILED_TO_START),
        (State.STARTING, None, OUT_OF_MEMORY, Cause.OUT_OF_MEMORY),
        (State.READY, None, FAILED, Cause.CRASHED),
        (State.READY, None, EXITED, Cause.CRASHED),
        (State.READY, None, SIGKILLED, Cause.CRASHED),
        (State.READY, None, OUT_OF_MEMORY, Cause.OUT_OF_MEMORY),
        (State.DRAINING, Cause.STOPPED, EXITED, Cause.STOPPED),
        (State.DRAINING, Cause.RETIRED, EXITED, Cause.RETIRED),
        (State.DRAINING, Cause.RETIRED, SIGTERMED, Cause.RETIRED),
        (State.DRAINING, Cause.STOPPED, SIGSEGVED, Cause.CRASHED),
        (State.DRAINING, Cause.STOPPED, OUT_OF_MEMORY, Cause.OUT_OF_MEMORY),
        (State.KILLED, Cause.HUNG, SIGKILLED, Cause.HUNG),
        (State.KILLED, Cause.HUNG, OUT_OF_MEMORY, Cause.HUNG),
        (State.KILLED, Cause.STOPPED, OUT_OF_MEMORY, Cause.STOPPED),
        (State.KILLED, Cause.RETIRED, SIGSEGVED, Cause.RETIRED),
    ],
)
def test_the_cause_follows_from_what_we_asked_and_how_it_ended(state, leaving_for, status, cause):
    """
    Our own kill is never a crash and never out of memory; a fault is a crash at any time.
    """
    record = WorkerRecord(
        slot=0, generation=1, started=0.0, since=1.0, state=state, leaving_for=leaving_for
    )

    assert cause == exit_cause(record, status)


@pytest.mark.parametrize(
    ("status", "accepted", "failed"),
    [
        (EXITED, None, False),
        (EXITED, 0, True),
        (EXITED, 1, False),
        (FAILED, None, True),
        (FAILED, 1, False),
        (SIGSEGVED, None, True),
        (SIGKILLED, None, False),
    ],
)
def test_exit_code_0_of_a_worker_that_may_have_served_is_no_failed_start(status, accepted, failed):
    """
    Where it is unknown what it took, exit code 0 soon after it was ready is no failed start.
    """
    record = WorkerRecord(
        slot=0, generation=1, started=0.0, since=1.0, ready_at=1.0, state=State.READY
    )

    assert failed == is_failed_start(record, status, accepted, now=2.0, period=60.0)


@pytest.mark.parametrize(
    ("status", "text"),
    [(ExitStatus(code=3), "exit 3"), (EXITED, "exit 0"), (SIGKILLED, "SIGKILL")],
)
def test_a_status_is_shown_as_exit_code_or_signal_name(status, text):
    """
    The exit code, or the signal's name.
    """
    assert text == str(status)
