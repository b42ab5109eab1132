"""Workers that die, and an arbiter that does: who notices, who follows, what is lost."""

import socket
from contextlib import suppress
from statistics import median

import pytest

from rig.clients import Load, ask, connect, read_line
from rig.systems import on_posix, on_windows
from rig.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.windows]


@pytest.mark.essential
@pytest.mark.versions
@pytest.mark.parametrize(
    ("accept", "kills"),
    [
        on_posix("blocking", 10),
        on_posix("exclusive", 10),
        on_posix("mutex", 10),
        on_windows("mutex", 6),  # each costs a second there
    ],
)
def test_only_the_requests_of_killed_workers_fail(serve, accept, kills):
    """
    kill -9 again and again under load: each failure belongs to a worker that was killed.
    """
    server = serve("-w", "4", "--accept", accept).ready(4)
    killed = []

    with Load(server.address, clients=6) as load:
        for number in range(kills):
            load.more(10)
            victim = server.workers()[number % 4]
            killed.append(victim)
            server.kill(victim)
            server.wait_for("worker exited", pid=victim)
            server.ready(4)

    assert len(load.failures) <= kills  # a worker holds one request at a time
    assert {failure.pid for failure in load.failures} <= {None, *killed}
    assert 0 == load.refused
    exits = server.all("worker exited")
    how = {(event["status"], event["cause"]) for event in exits}
    assert {(server.host.killed, "crashed")} == how
    # The log has each before the status counts it.
    until(lambda: kills == server.status()["totals"]["crashed"], what="all to be counted")


@pytest.mark.posix
def test_a_successor_is_there_at_once(serve):
    """
    Forked from the mold, it is ready some milliseconds after the death, in the same slot.
    """
    server = serve("-w", "2", "--start", "fork").ready(2)

    for _ in range(10):
        server.kill(server.workers()[1])
        born = len(server.all("worker started", slot=1))
        server.wait_for("worker ready", slot=1, count=born + 1)
        server.ready(2)

    waits = [event["after"] for event in server.all("worker ready", slot=1)[1:]]
    assert 10 == len(waits)
    assert median(waits) < 0.1  # 0.02 on a machine that does nothing else


@pytest.mark.essential
@pytest.mark.parametrize(
    ("options", "rounds"),
    [
        on_posix(["--accept-mutex", "flock"], 5),
        on_posix(["--accept-mutex", "fcntl"], 5),
        on_windows([], 2),
    ],
)
def test_a_killed_holder_of_the_mutex_does_not_stop_the_others(serve, options, rounds):
    """
    The kernel frees the mutex with its holder; whoever waits for it goes on.
    """
    server = serve("-w", "3", "--accept", "mutex", *options).ready(3)

    for _ in range(rounds):
        # All three are idle, so one of them holds it: kill them in turn, and ask.
        for pid in sorted(server.pids())[:2]:
            with suppress(ProcessLookupError):  # the status may still name one that is dead
                server.kill(pid)
        assert server.ask(b"next").endswith(b"next")
        server.ready(3)


@pytest.mark.versions
@pytest.mark.parametrize(
    ("action", "status"),
    [
        on_posix("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        on_windows("faulthandler._read_null()", "SIGSEGV"),
        ("os._exit(7)", "exit 7"),
        on_posix("os.abort()", "SIGABRT"),
        ("os._exit(0)", "exit 0"),
    ],
)
def test_a_crash_is_logged_with_its_status(serve, action, status):
    """
    ``worker exited`` names the signal or the exit code, and the cause is ``crashed``.
    """
    source = f"""
        import faulthandler, os, signal

        if hasattr(signal, "SIGKILL"):
            import resource
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        def handle(connection, address):
            if connection.recv(100) == b"die":
                {action}
            connection.sendall(b"alive")
    """
    server = serve("-w", "1", source=source).ready(1)

    assert b"" == _last_words(server.address)
    event = server.wait_for("worker exited")

    assert (status, "crashed", 1) == (event["status"], event["cause"], event["accepted"])
    assert b"alive" == server.ask(b"are you there?")


def _last_words(address):
    try:
        return ask(address, b"die")
    except ConnectionResetError:
        return b""


def test_what_dead_workers_counted_stays_in_the_totals(serve):
    """
    Totals are sums over the dead, too.
    """
    server = serve("-w", "2").ready(2)
    for _ in range(6):
        server.ask()
    # A client has its answer before its worker has counted it.
    until(lambda: server.status()["totals"]["handled"] == 6, what="six handled")
    for pid in server.pids():
        server.kill(pid)
    server.wait_for("worker exited", count=2)
    server.ready(2)
    server.ask()

    until(lambda: server.status()["totals"]["handled"] == 7, what="seven handled")
    assert 7 == server.status()["totals"]["accepted"]
    assert 1 == sum(worker["accepted"] for worker in server.status()["workers"])


@pytest.mark.versions
@pytest.mark.posix
def test_a_killed_mold_is_started_again(serve):
    """
    Its workers live on; the next one comes from its successor.
    """
    server = serve("-w", "2", "--start", "fork").ready(2)
    before = server.pids()
    mold = server.wait_for("mold started")["pid"]

    server.kill(mold)
    server.wait_for("mold ready", count=2)

    assert before == server.pids()
    server.kill(min(before))
    server.wait_for("worker exited")
    server.ready(2)
    assert server.ask(b"x").endswith(b"x")


@pytest.mark.versions
@pytest.mark.posix
@pytest.mark.parametrize(
    ("accept", "start_method"),
    [("blocking", "fork"), ("blocking", "spawn"), ("exclusive", "fork"), ("mutex", "fork")],
)
def test_nothing_survives_a_killed_arbiter_but_what_is_in_progress(serve, accept, start_method):
    """
    Idle workers leave at once, the port is free, and a held connection is finished first.
    """
    server = serve("-w", "3", "--accept", accept, "--start", start_method).ready(3)
    address = server.address
    idle = server.pids()
    with server.connect() as client:
        busy = int(read_line(client))

        server.kill_arbiter()

        for pid in idle - {busy}:
            server.until_ended(pid)
        client.sendall(b"still served")
        assert b"still served" == client.recv(100)
        assert server.is_alive(busy)
        _bind_anew(address)
    server.all_gone()


@pytest.mark.essential
@pytest.mark.windows_only
def test_nothing_at_all_survives_a_killed_arbiter(serve):
    """
    Windows ends the workers with the last handle of their job, busy or not; the port is free.
    """
    server = serve("-w", "5").ready(5)
    address = server.address
    with server.held() as held:
        held.add(2)

        server.kill_arbiter()

        server.all_gone(limit=1)
        _bind_anew(address)


def _bind_anew(address):
    """Bind the port as a successor would, while the last worker still holds its connection."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    with socket.socket() as successor:
        successor.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        until(lambda: _is_bound(successor, (host, int(port))), what="a free port")


def _is_bound(sock, address):
    try:
        sock.bind(address)
        sock.listen()
    except OSError:
        return False
    return True


@pytest.mark.posix
def test_an_orphan_that_does_not_finish_is_ended(serve):
    """
    Without an arbiter to do it, a worker limits its own remaining life to ``graceful-timeout``.
    """
    server = serve("-w", "1", "--graceful-timeout", "0.5").ready(1)
    with connect(server.address) as client:
        busy = int(read_line(client))

        server.kill_arbiter()

        until(lambda: not server.is_alive(busy), limit=5, what="the end of the orphan")


@pytest.mark.essential
def test_a_successor_takes_the_name_and_port_of_a_killed_server(serve):
    """
    At once, though clients were connected.
    """
    first = serve("-w", "1", "--name", "phoenix").ready(1)
    address = first.address
    with first.connect() as client:
        read_line(client)
        first.kill_arbiter()
    first.all_gone()

    second = serve("-w", "1", "--name", "phoenix", "--bind", address)
    second.wait_for("worker ready")

    assert ("phoenix", second.pid) == (second.status()["name"], second.status()["pid"])
    assert int(second.ask()) in second.pids()


@pytest.mark.posix
def test_a_successor_takes_the_path_of_a_killed_server(serve, tmp_path):
    """
    What kill -9 leaves behind is in nobody's way.
    """
    path = tmp_path / "s"
    options = ["-w", "1", "--name", "phoenix", "--bind", f"unix:{path.name}"]
    first = serve(*options).ready(1)
    first.kill_arbiter()
    assert path.exists()

    second = serve(*options)
    second.wait_for("worker ready")

    assert "phoenix" == second.status()["name"]
    assert second.pid == second.status()["pid"]
    with connect(f"unix:{path}") as client:
        assert int(read_line(client)) in second.pids()
