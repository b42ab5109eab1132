"""Workers that take too long: inspected first, then killed and replaced."""

import pytest
from conversations import SIGKILLED, at, busy, fixed, forking_pool, pool_of, running_pool, settled

from prefork.core.actions import Drain, Inspect, Kill, Nudge, Spawn
from prefork.core.events import (
    IncidentRecorded,
    LimitsChanged,
    MoldExited,
    MoldReady,
    ProcessResumed,
    ProcessSuspended,
    WorkerExited,
)
from prefork.core.limits import ScalingLimits
from prefork.core.snapshot import WorkerReport
from prefork.core.states import Cause, Mold


def test_a_worker_busy_for_too_long_is_inspected_then_killed_and_replaced():
    """
    Inspect once; when the incident is on disk, Kill; the successor comes with the kill.
    """
    pool = running_pool(size=1, timeout=2.0)
    rows = {0: busy(since=5.0)}

    early = pool.decide(at(6.9, rows))
    inspection = pool.decide(at(7.0, rows))
    again = pool.decide(at(7.1, rows))
    pool.apply(IncidentRecorded(0), 7.2)
    kill = pool.decide(at(7.2, rows))

    assert [] == early
    assert [Inspect(0)] == inspection
    assert [] == again
    assert [Kill(0), Spawn(1, 1)] == kill
    assert Cause.HUNG == pool.cause_of(0, SIGKILLED)
    assert "hang" == pool.journal[-1].kind


def test_a_connection_without_a_unit_in_progress_is_no_hang():
    """
    A keep-alive connection may be idle for as long as its client likes.
    """
    pool = running_pool(size=1, timeout=2.0)

    assert [] == pool.decide(at(100.0, {0: WorkerReport(connections=1, busy_since=5.0)}))


def test_a_worker_that_recovers_while_it_is_inspected_is_killed_all_the_same():
    """
    The incident records that it was killed; what hung once hangs again.
    """
    pool = running_pool(size=1, timeout=2.0)
    pool.decide(at(7.0, {0: busy(since=5.0)}))

    pool.apply(IncidentRecorded(0), 7.2)

    assert Kill(0) in pool.decide(at(7.2))


def test_an_incident_that_cannot_be_recorded_does_not_save_the_worker():
    """
    Half a second after the inspection began, the worker is killed in any case.
    """
    pool = running_pool(size=1, timeout=2.0)
    pool.decide(at(7.0, {0: busy(since=5.0)}))

    deadline = pool.deadline()

    assert deadline == 7.5
    assert Kill(0) in pool.decide(at(deadline))


def test_an_incident_of_a_worker_that_is_gone_does_not_concern_its_successor():
    """
    It died by itself while it was inspected; the next in its slot is not harmed.
    """
    pool = running_pool(size=1, timeout=2.0)
    pool.decide(at(7.0, {0: busy(since=5.0)}))
    pool.apply(WorkerExited(0, SIGKILLED, 1), 7.1)
    pool.decide(at(7.1))

    pool.apply(IncidentRecorded(0), 7.2)

    assert [] == pool.decide(at(7.2))


def test_a_suspended_worker_is_hung_after_the_timeout_even_if_idle():
    """
    SIGSTOP counts like a unit of work; SIGCONT in time forgets it.
    """
    pool = running_pool(size=2, timeout=2.0)
    pool.apply(ProcessSuspended(0), 5.0)
    pool.apply(ProcessSuspended(1), 5.0)
    pool.decide(at(5.0))

    pool.apply(ProcessResumed(1), 6.0)
    pool.decide(at(6.0))

    assert pool.deadline() == 7.0
    assert [Inspect(0)] == pool.decide(at(7.0))


def test_a_boot_that_takes_too_long_is_a_hang_and_a_failed_start():
    """
    Not ready after boot_timeout: inspected, killed, and the next attempt waits.
    """
    pool = pool_of(fixed(1), boot_timeout=60.0)
    pool.decide(at(0.0))
    boot_limit = pool.deadline()

    inspection = pool.decide(at(60.0))
    pool.apply(IncidentRecorded(0), 60.1)
    kill = pool.decide(at(60.1))

    assert boot_limit == 60.0
    assert [Inspect(0)] == inspection
    assert [Kill(0)] == kill
    assert pool.deadline() == pytest.approx(60.2)


def test_a_mold_that_does_not_become_ready_is_a_hang_too():
    """
    The mold has the same time to boot.
    """
    pool = pool_of(fixed(1), fork=True, boot_timeout=60.0)
    pool.decide(at(0.0))

    assert [Inspect(Mold(1))] == pool.decide(at(60.0))


@pytest.mark.parametrize("now", [1e3, 1e9])
def test_no_timeout_means_for_ever(now):
    """
    A timeout of 0 is never reached, and costs no wake-up.
    """
    pool = running_pool(size=1, timeout=0.0, boot_timeout=0.0)

    orders = pool.decide(at(now, {0: busy(since=0.0)}))

    assert [] == orders
    assert pool.deadline() is None


def test_a_wake_up_is_planned_for_the_first_moment_at_which_a_worker_could_hang():
    """
    Busy: from its start. Idle: nothing begun after this look can be overdue earlier.
    """
    pool = running_pool(size=2, timeout=30.0)
    pool.decide(at(100.0))
    idle = pool.deadline()

    pool.decide(at(110.0, {1: busy(since=105.0)}))

    assert idle == 130.0
    assert pool.deadline() == 135.0


def test_an_idle_mold_is_never_looked_at():
    """
    A ready mold has nothing to be late with.
    """
    pool = settled(pool_of(ScalingLimits(minimum=0, maximum=1), fork=True), range(0))
    pool.apply(MoldReady(1), 1.0)

    pool.decide(at(1.0))

    assert pool.deadline() is None


def test_a_draining_worker_is_nudged_until_it_acknowledges_and_killed_when_its_time_is_up():
    """
    A nudge every 0.05 s; none after the acknowledgement; Kill after graceful_timeout.
    """
    pool = running_pool(size=2, graceful_timeout=5.0)
    pool.apply(LimitsChanged(1, 1), 10.0)
    rows = {0: busy(since=9.0), 1: busy(since=9.0)}
    drained = pool.decide(at(10.0, rows))

    nudged = [pool.decide(at(moment, rows)) for moment in (10.04, 10.05, 10.06, 10.11)]
    acknowledged = pool.decide(at(10.2, {1: busy(since=9.0, leaving=True)}))
    deadline = pool.deadline()
    killed = pool.decide(at(15.0, {1: busy(since=9.0, leaving=True)}))

    assert [Drain(1)] == drained
    assert [[], [Nudge(1)], [], [Nudge(1)]] == nudged
    assert [] == acknowledged
    assert deadline == 15.0
    assert [Kill(1)] == killed
    assert Cause.RETIRED == pool.cause_of(1, SIGKILLED)


def test_a_hung_mold_is_replaced_and_its_workers_go_on():
    """
    A suspended mold is killed like a worker, and started again.
    """
    pool = forking_pool(size=1, timeout=2.0)
    pool.apply(ProcessSuspended(Mold(1)), 1.0)
    inspection = pool.decide(at(3.0))
    pool.apply(IncidentRecorded(Mold(1)), 3.1)

    killed = pool.decide(at(3.1))
    pool.apply(MoldExited(1, SIGKILLED), 3.2)

    assert [Inspect(Mold(1))] == inspection
    assert [Kill(Mold(1))] == killed
    assert ["StartMold"] == [type(order).__name__ for order in pool.decide(at(3.2))]
