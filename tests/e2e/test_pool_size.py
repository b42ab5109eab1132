"""The dynamic pool: it grows with its clients, shrinks after them, and loses nobody."""

import pytest

from rig.clients import Load, read_line
from rig.server import elapsed
from rig.systems import each_accept, on_posix, on_windows
from rig.waiting import stays, until

pytestmark = [pytest.mark.slow, pytest.mark.windows]


@pytest.mark.essential
def test_held_connections_are_all_served_within_a_second(serve, host):
    """
    ``1..8``: eight connections at once find eight workers, and one is left when they are gone.
    """
    server = serve("-w", "1..8", "--scale-down-delay", "0.3").ready(1)

    with server.held() as held:
        took = elapsed(lambda: held.add(8))
        assert took < 1.0 * host.pace
        assert 8 == len(set(held.pids))
        assert 8 == server.status()["pool"]["target"]
        # The clients go, and with them the need.
    server.until_pool(ready=1, draining=0)

    scaled = server.all("pool scaled")
    assert {"from", "to", "why"} <= scaled[0].keys()
    assert [1, 8] == [min(s["to"] for s in scaled), max(s["to"] for s in scaled)]


def test_no_client_sees_an_error_while_the_pool_grows_and_shrinks(serve, host):
    """
    No client of thousands sees an error while workers come and go with the held ones.
    """
    server = serve("-w", "1..6", "--scale-down-delay", "0.05").ready(1)

    with Load(server.address, clients=2) as load:
        for _ in range(3):
            with server.held() as held:
                held.add(4)
                server.until_pool(target=6)
            load.more(50)
            until(lambda: server.status()["pool"]["target"] < 6, what="a smaller pool")

    assert load.total > 500 / host.pace
    assert [] == load.failures
    assert 0 == load.refused
    assert 0 < len(server.all("worker exited"))
    assert {"retired"} == {event["cause"] for event in server.all("worker exited")}


@each_accept
def test_scaling_down_under_load_loses_nothing(serve, accept):
    """
    A worker that is told to go finishes what it holds, and takes nothing that it cannot finish.
    """
    server = serve("-w", "6", "--accept", accept).ready(6)

    with Load(server.address) as load:
        load.more(200)
        for limit in ("2", "6", "1", "5"):
            server.result("scale", limit)
            server.until_pool(ready=int(limit), starting=0)  # who is starting would be killed
            load.more(100)

    assert [] == load.failures
    assert 0 == load.refused
    retired = server.all("worker exited")
    assert {"retired"} == {event["cause"] for event in retired}
    assert {"exit 0"} == {event["status"] for event in retired}


def test_on_demand_means_no_process_until_the_first_client(serve, host):
    """
    ``0..4``: nobody is there when nobody asks; a light target answers within 100 ms or so.
    """
    server = serve("-w", "0..4", "--scale-down-delay", "0.2").appear()
    until(lambda: server.status()["state"] == "running", what="a mold that is ready")
    assert [] == server.status()["workers"]

    took = min(_first_answer(server) for _ in range(3))

    assert took < 0.15 * host.pace  # 0.1 on a machine that does nothing else
    # On a busy machine the spare one is started too, before the client has gone.
    assert {event["slot"] for event in server.all("worker started")} <= {0, 1}


def _first_answer(server):
    """Return how long it took, when the pool is back at nobody."""
    with server.connect() as client:
        took = elapsed(lambda: read_line(client))
    server.until_pool(ready=0, starting=0, draining=0)
    return took


def test_on_demand_works_with_spawned_workers(serve):
    """
    Without a mold there is no process at all but the arbiter.
    """
    server = serve("-w", "0..2", "--start", "spawn", "--scale-down-delay", "0.2").appear()
    assert [server.pid] == server.family()

    pid = int(server.ask().strip())

    assert pid in server.family()
    server.until_pool(ready=0, starting=0, draining=0)
    assert not server.is_alive(pid)


def test_a_busy_worker_is_never_retired(serve):
    """
    However long the surplus lasts, who holds a connection is not asked to go.
    """
    server = serve("-w", "1..4", "--scale-down-delay", "0.1").ready(1)

    with server.held() as held:
        held.add(3)
        server.until_pool(ready=4)
        held.release(2)
        server.until_pool(ready=2, draining=0)  # the busy one and its spare
        kept = held.pids[0]
        assert stays(lambda: kept in server.pids(), 0.5)
        held.clients[0].sendall(b"still here")
        assert b"still here" == held.clients[0].recv(100)


def test_spare_workers_are_kept_ahead_of_the_load(serve):
    """
    ``--spare 3`` with two busy ones makes five.
    """
    server = serve("-w", "1..8", "--spare", "3").ready(3)

    with server.held() as held:
        held.add(2)
        server.until_pool(ready=5, busy=2, idle=3)


def test_threads_count_as_capacity(serve):
    """
    Two workers of four threads hold eight connections; no third one is started for them.
    """
    server = serve("-w", "1..4", "--threads", "4", "--spare", "0").ready(1)

    with server.held() as held:
        held.add(8)
        assert 2 == len(set(held.pids))
        assert 2 == server.status()["pool"]["target"]


def test_why_shows_the_numbers_behind_each_change(serve):
    """
    ``prefork why`` has the decision in words, and what it was taken from.
    """
    server = serve("-w", "1..4").ready(1)
    with server.held() as held:
        held.add(3)
        server.until_pool(ready=4)

    grown = [
        decision
        for decision in server.result("why")["decisions"]
        if decision["kind"] == "scale" and decision["after"] > decision["before"]
    ]

    assert 4 == grown[-1]["after"]
    assert {"active", "queued", "ready", "starting", "capacity", "spare"} <= grown[-1][
        "inputs"
    ].keys()
    assert "want" in grown[-1]["why"]
    assert "want" in server.operate("why").stdout


def test_a_slow_boot_does_not_overshoot(serve):
    """
    Workers that are starting count as capacity: three waiting clients make three, and a spare.
    """
    source = """
        import os, threading

        def make():
            threading.Event().wait(0.4)  # a slow boot
            return handle

        def handle(connection, address):
            connection.sendall(b"%d\\n" % os.getpid())
            connection.recv(1)
    """
    server = serve("-w", "1..20", "--factory", source=source, target="app:make").ready(1)

    with server.held() as held:
        held.add(3)
        server.until_pool(starting=0)

    assert len(server.all("worker started")) <= 5


@pytest.mark.parametrize("workers", [on_posix(200), on_windows(30)])
def test_a_big_pool_comes_and_goes(serve, workers):
    """
    It is started, scaled down to one and stopped.
    """
    server = serve("-w", str(workers)).ready(workers, limit=60)

    server.result("scale", "1")
    server.until_pool(ready=1, draining=0)

    assert server.ask(b"alive?").endswith(b"alive?")
    assert 0 == server.stop()
    assert workers == len(server.all("worker exited", status="exit 0"))
