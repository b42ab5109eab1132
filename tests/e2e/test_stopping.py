"""The end of a server: nobody that had come in is turned away."""

import os
import signal

import pytest

from rig.clients import Load, connect, read_line
from rig.processes import state_of
from rig.server import elapsed
from rig.systems import each_accept, each_method, on_posix
from rig.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.windows]


@pytest.mark.essential
@pytest.mark.versions
@pytest.mark.parametrize(
    ("accept", "start_method"),
    [
        on_posix("blocking", "fork"),
        on_posix("blocking", "spawn"),
        on_posix("exclusive", "fork"),
        on_posix("mutex", "fork"),
        ("mutex", "spawn"),
    ],
)
def test_term_under_load_loses_no_established_connection(serve, accept, start_method):
    """
    A connection a request, eight clients: no reset, no empty answer until the listener closed.
    """
    server = serve("-w", "4", "--accept", accept, "--start", start_method).ready(4)

    with Load(server.address) as load:
        load.more(300)
        assert 0 == server.stop()

    assert [] == load.failures
    assert not any(server.is_alive(pid) for pid in server.family())


@pytest.mark.posix
def test_term_under_load_on_a_unix_socket(serve, tmp_path):
    """
    The same for a Unix socket, whose path is gone afterwards.
    """
    path = tmp_path / "s"
    server = serve("-w", "4", "--bind", f"unix:{path}").ready(4)

    with Load(server.address) as load:
        load.more(300)
        assert 0 == server.stop()

    assert [] == load.failures
    assert not path.exists()


@pytest.mark.essential
@each_accept
def test_connections_in_the_queue_are_served_before_the_end(serve, accept):
    """
    Five clients wait for one busy worker when TERM comes: all six get their answers.
    """
    server = serve("-w", "1", "--accept", accept).ready(1)
    clients = [server.connect() for _ in range(6)]
    assert read_line(clients[0]).isdigit()
    until(lambda: server.queued() == 5, what="five in the queue")

    server.signal(signal.SIGTERM)
    server.wait_for("stopping")

    for number, client in enumerate(clients):
        with client:
            client.sendall(b"goodbye")
            if number:
                assert read_line(client).isdigit()
            assert b"goodbye" == client.recv(100)
    assert 0 == server.wait()


@pytest.mark.essential
@each_accept
def test_a_held_connection_is_finished_before_the_end(serve, accept):
    """
    The arbiter waits for it, the others leave meanwhile, and no new client gets in.
    """
    server = serve("-w", "3", "--accept", accept).ready(3)
    with server.connect() as client:
        busy = int(read_line(client))

        server.signal(signal.SIGTERM)
        server.wait_for("worker exited", count=2)

        client.sendall(b"still here")
        assert b"still here" == client.recv(100)
        assert "stopping" == server.status()["state"]
    assert 0 == server.wait()
    assert ("exit 0", "stopped") == _end_of(server, busy)


def test_a_worker_that_does_not_finish_in_time_is_killed(serve):
    """
    ``graceful-timeout`` counts from the signal; the exit code is 0 all the same.
    """
    server = serve("-w", "2", "--graceful-timeout", "0.5").ready(2)
    with server.connect() as client:
        busy = int(read_line(client))

        took = elapsed(server.stop)

    assert 0 == server.process.returncode
    assert 0.5 <= took < 2
    assert ("SIGKILL", "stopped") == _end_of(server, busy)


@pytest.mark.parametrize(
    "signals",
    [on_posix(["SIGQUIT"]), ["SIGINT", "SIGINT"], on_posix(["SIGTERM", "SIGQUIT"])],
)
def test_a_stop_at_once_does_not_wait_for_busy_workers(serve, signals):
    """
    QUIT, or a second INT: the busy are killed, too.
    """
    server = serve("-w", "2").ready(2)
    with server.connect() as client:
        busy = int(read_line(client))
        for number, name in enumerate(signals, start=1):
            server.signal(signal.Signals[name])
            server.wait_for("stopping", count=number)

        assert 0 == server.wait(3)

    assert ("SIGKILL", "stopped") == _end_of(server, busy)


@pytest.mark.essential
def test_int_is_a_graceful_stop(serve):
    """
    The first Ctrl-C finishes what is in progress.
    """
    server = serve("-w", "1").ready(1)
    with server.connect() as client:
        read_line(client)
        server.signal(signal.SIGINT)
        server.wait_for("stopping", reason="SIGINT", at_once=False)
        client.sendall(b"still here")
        assert b"still here" == client.recv(100)

    assert 0 == server.wait()


@pytest.mark.posix
def test_a_second_term_is_still_graceful(serve):
    """
    Impatient service managers repeat themselves; only QUIT and INT mean it.
    """
    server = serve("-w", "1").ready(1)
    with server.connect() as client:
        read_line(client)
        for number in (1, 2):
            server.signal(signal.SIGTERM)
            server.wait_for("stopping", count=number)
        client.sendall(b"still here")
        assert b"still here" == client.recv(100)

    assert 0 == server.wait()


@pytest.mark.versions
@pytest.mark.posix
def test_ctrl_c_reaches_the_arbiter_alone(serve):
    """
    The workers are in other process groups, so a terminal's signal does not hit them.
    """
    server = serve("-w", "1", process_group=0).ready(1)
    with server.connect() as client:
        read_line(client)
        os.killpg(server.pid, signal.SIGINT)
        server.wait_for("stopping")
        client.sendall(b"unharmed")
        assert b"unharmed" == client.recv(100)

    assert 0 == server.wait()


@pytest.mark.posix
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_ends_only_on_the_order_of_the_arbiter(serve, signum):
    """
    TERM and INT to a worker do nothing; others may send what they like.
    """
    server = serve("-w", "1").ready(1)
    [pid] = server.pids()
    with server.connect() as client:
        read_line(client)
        os.kill(pid, signum)
        client.sendall(b"unmoved")
        assert b"unmoved" == client.recv(100)

    assert b"x" == server.ask(b"x").partition(b"\n")[2]
    assert {pid} == server.pids()


@pytest.mark.versions
@each_method
def test_a_stop_while_workers_boot_ends_them(serve, start_method):
    """
    Who is starting holds nothing, and is killed.
    """
    source = """
        import threading

        threading.Event().wait()
    """
    server = serve("-w", "3", "--start", start_method, source=source)
    if start_method == "fork":
        server.wait_for("mold started")
    else:  # all: in the middle of a start, Wine does not survive a signal
        server.wait_for("worker started", count=3)

    assert 0 == server.stop(3)
    assert not any(server.is_alive(pid) for pid in server.family())


@each_method
def test_a_server_without_any_worker_stops(serve, start_method):
    """
    ``0..2`` with nobody there ends at once.
    """
    server = serve("-w", "0..2", "--start", start_method).appear()
    until(lambda: server.status()["state"] == "running", what="a server that runs")

    assert 0 == server.stop(3)


def test_a_suspended_worker_does_not_hold_up_the_end_for_ever(serve):
    """
    It hears nothing; ``graceful-timeout`` ends it.
    """
    server = serve("-w", "2", "--graceful-timeout", "0.5").ready(2)
    stopped = server.workers()[0]
    server.freeze(stopped)

    assert 0 == server.stop(5)

    assert ("SIGKILL", "stopped") == _end_of(server, stopped)


def test_the_address_is_free_afterwards(serve):
    """
    A second server takes the same port at once.
    """
    first = serve("-w", "2").ready(2)
    address = first.address
    for _ in range(20):
        first.ask(b"leave some connections in TIME_WAIT")
    assert 0 == first.stop()

    second = serve("-w", "2", "--bind", address).ready(2)

    assert address == second.address
    assert second.ask(b"x").endswith(b"x")


def test_nothing_is_left_in_the_run_time_directory(serve, runtime):
    """
    Scoreboard and control socket go with the server.
    """
    server = serve("-w", "1").ready(1)
    assert server.scoreboard.exists()

    server.stop()

    assert [] == list((runtime / "prefork").iterdir())


@pytest.mark.posix
def test_what_handlers_started_does_not_become_a_zombie(serve):
    """
    The arbiter is the subreaper of its workers' orphans, and buries them.
    """
    source = """
        import os

        def handle(connection, address):
            if os.fork() == 0:
                orphan = os.fork()
                if orphan:
                    connection.sendall(b"%d\\n" % orphan)
                else:
                    connection.recv(1)
                os._exit(0)
            os.wait()
    """
    server = serve("-w", "1", source=source).ready(1)
    with server.connect() as client:
        orphan = int(read_line(client))
        until(lambda: server.is_alive(orphan))
        client.sendall(b"x")

    until(lambda: not state_of(orphan), limit=5, what="the burial of the orphan")
    assert 0 == server.stop()


def test_a_server_that_is_stopped_while_it_is_asked_for_more(serve):
    """
    ``scale`` is refused on the way out, in a sentence.
    """
    server = serve("-w", "1").ready(1)
    with connect(server.address) as client:
        read_line(client)
        server.signal(signal.SIGTERM)
        server.wait_for("stopping")

        refused = server.operate("scale", "3")

    assert 2 == refused.returncode
    assert "stopping" in refused.stderr
    assert 0 == server.wait()


def _end_of(server, pid):
    [event] = server.all("worker exited", pid=pid)
    return event["status"], event["cause"]
