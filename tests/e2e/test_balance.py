"""How workers with an event loop share connections, and how their pool follows the load."""

import os
import textwrap
from collections import Counter
from statistics import median

import pytest

from e2e.evenness import busiest_share, until_idle
from e2e.loops import SOURCES, STREAM, each_kind, each_loop, each_pair
from rig.clients import connect, read_line
from rig.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.windows]


@pytest.mark.essential
@each_pair
def test_idle_workers_share_evenly(serve, kind, loop):
    """
    Of 120 connections the busiest of six workers takes hardly more than a sixth.
    """
    server = serve("-w", "6", "--loop", loop, source=SOURCES[kind]).ready(6)

    assert busiest_share(server, server.ask) <= 1.15


@each_loop
@pytest.mark.parametrize("at_once", [False, True])
def test_lasting_connections_are_shared_evenly(serve, host, loop, at_once):
    """
    Of 32 held connections each of two workers has 16, two more or less.
    """
    server = serve("-w", "2", "--loop", loop, source=STREAM, prefix=host.first).ready(2)

    with server.held() as held:
        for count in [32] if at_once else [1] * 32:
            held.add(count)

        assert all(14 <= taken <= 18 for taken in Counter(held.pids).values())


@each_loop
def test_balance_comes_back_after_one_side_has_ended(serve, host, loop):
    """
    A worker that has become idler gets the next connections, though it is not its turn.

    It is woken for each, and has 2 ms to take it: so the server goes before other processes.
    """
    server = serve("-w", "2", "--loop", loop, source=STREAM, prefix=host.first).ready(2)

    assert median(_taken_by_the_idler(server) for _ in range(5)) >= 6


def _taken_by_the_idler(server):
    """Return how many of eight connections a worker takes that holds none, beside one of ten."""
    with server.held() as held:
        held.add(20)
        one = held.pids[0]
        for client, pid in zip(held.clients, held.pids, strict=True):
            if pid == one:
                client.close()
        idler = next(
            worker["slot"] for worker in server.status()["workers"] if worker["pid"] == one
        )
        until(lambda: not server.status()["workers"][idler]["busy"], what="an idle worker")
        fresh = []
        for _ in range(8):
            until_idle(server)
            fresh += held.add(1)
    until(lambda: not server.status()["pool"]["busy"], what="idle workers")
    return Counter(fresh)[one]


@each_loop
def test_a_full_worker_takes_no_connection_while_another_has_room(serve, loop):
    """
    One slow connection, and a thousand fast ones: none is left to the worker that is full.
    """
    server = serve("-w", "2", "--concurrency", "1", "--loop", loop, source=STREAM).ready(2)

    with server.held() as held:
        (slow,) = held.add(1)
        served = Counter(int(server.ask()) for _ in range(1000))

    assert (0, 1000) == (served[slow], served.total())


@each_loop
def test_concurrency_is_the_most_that_a_worker_holds(serve, loop):
    """
    A connection too many waits in the queue, and is served when another one ends.
    """
    server = serve("-w", "2", "--concurrency", "3", "--loop", loop, source=STREAM).ready(2)

    with server.held() as held, connect(server.address) as waiting:
        waiting.close()  # taken, and ended
        until(lambda: server.status()["totals"]["handled"] == 1, what="its end")
        held.add(6)
        with connect(server.address) as late:
            until(lambda: server.queued() == 1, what="one who waits")
            assert [3, 3] == [worker["active"] for worker in server.status()["workers"]]
            held.release(1)
            assert read_line(late).isdigit()


@each_kind
def test_the_pool_follows_the_connections_held(serve, kind):
    """
    Workers of ten connections each, for 5, 35 and again 5 held ones; one spare is kept.
    """
    options = ["-w", "1..4", "--concurrency", "10", "--scale-down-delay", "0.5"]
    server = serve(*options, source=SOURCES[kind]).appear()

    with server.held() as held:
        held.add(5)
        server.until_pool(ready=2, starting=0)
        held.add(30)
        server.until_pool(ready=4, starting=0)
        held.release(30)
        # Who is to go takes no more, and may still hold some: they are not cut off.
        server.until_pool(ready=2, starting=0)
        for client in held.clients:
            client.sendall(b"still")
            assert b"still" == client.recv(10)

    server.until_pool(ready=1)
    until(lambda: server.status()["pool"]["draining"] == 0, what="the end of those who left")


@pytest.mark.posix
def test_auto_means_a_worker_for_each_processor(serve):
    """
    ``-w auto`` is 1..CPUs for an event loop, and 1..4×CPUs for a handler that blocks.
    """
    cpus = len(os.sched_getaffinity(0))
    loops = serve("-w", "auto", source=STREAM).appear()
    loops.wait_for("worker ready")

    until(lambda: loops.status()["pool"]["maximum"] == cpus, what="the maximum")


@pytest.mark.posix
def test_a_loop_cannot_wait_as_blocking_workers_do(serve):
    """
    ``--accept mutex`` and ``blocking`` are refused by a sentence.
    """
    server = serve("-w", "1", "--accept", "mutex", source=STREAM)

    assert 4 == server.wait()
    assert "accept = mutex" in server.all("target cannot be loaded")[0]["reason"]


@pytest.mark.posix
def test_uvloop_that_is_not_there_is_asked_for_in_vain(serve, write):
    """
    ``--loop uvloop`` without the package is refused; ``auto`` then takes asyncio's loop.
    """
    write("raise ImportError('as if it were not installed')", "uvloop.py")
    server = serve("-w", "1", "--loop", "uvloop", source=STREAM)

    assert 4 == server.wait()
    assert "prefork[uvloop]" in server.all("target cannot be loaded")[0]["reason"]
    other = serve("-w", "1", source=STREAM).ready(1)
    assert other.ask(b"x").endswith(b"x")


@each_kind
def test_on_demand_starts_a_worker_for_the_first_client(serve, kind):
    """
    ``-w 0..2``: the first client starts a worker, and the last one's end ends it.
    """
    options = ["-w", "0..2", "--scale-down-delay", "0.3"]
    server = serve(*options, source=SOURCES[kind]).appear()
    until(lambda: server.status()["state"] == "running", what="a server that runs")
    assert {} == server.workers()

    with server.held() as held:
        held.add(2)
        until(lambda: server.status()["pool"]["busy"] >= 1, what="a worker that is busy")

    server.until_pool(ready=0, draining=0)
    assert server.ask(b"again").endswith(b"again")


@each_kind
def test_a_slow_start_is_waited_for(serve, kind):
    """
    A factory that takes its time: clients wait in the queue, and nothing counts before it is done.
    """
    source = SOURCES[kind] + textwrap.dedent(
        """
        def make():
            threading.Event().wait(1)
            return handle
        """
    )
    options = ["-w", "1", "--factory", "--boot-timeout", "5"]
    server = serve(*options, source=source, target="app:make").appear()

    answer = server.ask(b"x")

    assert answer.endswith(b"x")
    assert server.wait_for("worker ready")["after"] >= 1
