"""What a server costs that has nothing to do."""

import pytest

from e2e.evenness import until_idle
from rig.processes import cpu_seconds, status_field
from rig.waiting import pause

pytestmark = pytest.mark.slow

WATCHED = 3.0  #: seconds


@pytest.mark.parametrize("workers", ["100", "1..100"])
def test_an_idle_server_sleeps(serve, workers):
    """
    One thread, under one wake-up a second, next to no processor time.
    """
    server = serve("-w", workers).appear()
    server.until_pool(ready=int(workers.partition("..")[0]), limit=30)
    pause(0.5)  # the wake of the start
    woken, used = _woken(server.pid), cpu_seconds(server.pid)

    pause(WATCHED)

    assert "1" == status_field(server.pid, "Threads")
    assert _woken(server.pid) - woken < WATCHED
    assert round(cpu_seconds(server.pid) - used, 2) <= 0.02  # two clock ticks


@pytest.mark.parametrize("accept", ["blocking", "exclusive", "mutex"])
def test_idle_workers_sleep_too(serve, accept):
    """
    Nobody polls: a worker that waits is not woken at all.
    """
    server = serve("-w", "3", "--accept", accept).ready(3)
    until_idle(server)
    pause(0.3)  # until each waits where it will wait
    before = [_woken(pid) for pid in server.pids()]

    pause(1)

    assert before == [_woken(pid) for pid in server.pids()]


def _woken(pid):
    return int(status_field(pid, "voluntary_ctxt_switches"))
