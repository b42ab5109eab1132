"""Workers that hang: recorded, killed, replaced."""

import json

import pytest

from rig.clients import Load, connect, read_line
from rig.systems import on_posix, on_windows
from rig.waiting import stays, until

pytestmark = [pytest.mark.slow, pytest.mark.windows, pytest.mark.versions]

HANGS = """
import itertools, os, re, threading

lock = threading.Lock()

def waits_for_ever():
    lock.acquire()
    lock.acquire()  # guilty

def computes_in_c():
    sum(itertools.repeat(0))  # guilty

def handle(connection, address):
    {"lock": waits_for_ever, "c": computes_in_c}.get(connection.recv(10).decode(), int)()
    connection.sendall(b"%d\\n" % os.getpid())
    connection.recv(1)
"""

HANGS_IN_A_LOOP = """
import itertools

async def handle(reader, writer):
    await reader.read(10)
    sum(itertools.repeat(0))
"""


@pytest.mark.parametrize(
    ("order", "function", "start_method", "threads"),
    [
        on_posix(b"lock", "waits_for_ever", "fork", "1"),
        on_posix(b"c", "computes_in_c", "fork", "1"),
        on_posix(b"c", "computes_in_c", "spawn", "1"),
        on_windows(b"lock", "waits_for_ever", "spawn", "1"),
        (b"lock", "waits_for_ever", "spawn", "4"),
        on_posix(b"c", "computes_in_c", "fork", "4"),
    ],
)
def test_a_hang_is_recorded_with_the_guilty_line_and_replaced(
    serve, host, tmp_path, order, function, start_method, threads
):
    """
    The incident names function and line, also while C code holds the interpreter's lock.
    """
    options = ["-w", "1", "--timeout", "0.5", "--start", start_method, "--threads", threads]
    server = serve(*options, source=HANGS).ready(1)
    hung = server.workers()[0]

    with server.connect() as client:
        client.sendall(order)
        server.wait_for("worker ready", pid=lambda pid: pid != hung)
        server.wait_for("worker exited", pid=hung)
        peer = "{}:{}".format(*client.getsockname())

    event = server.wait_for("worker hung")
    guilty = HANGS[: HANGS.index("# guilty", HANGS.index(f"def {function}"))].count("\n") + 1
    assert f"{function} ({host.shown(tmp_path / 'app.py')}:{guilty})" == event["where"]
    assert (hung, peer) == (event["pid"], event["peer"])
    assert 0.5 <= event["busy_for"] < 2
    incident = json.loads(host.path(event["incident"]).read_text())
    assert hung == incident["pid"]
    assert any(f"in {function}" in line for line in incident["stacks"])
    assert host.kernel <= incident["kernel"].keys()
    [exited] = server.all("worker exited")
    assert ("SIGKILL", "hung") == (exited["status"], exited["cause"])
    assert 1 == server.status()["totals"]["hung"]
    with server.connect() as client:
        client.sendall(b"well?")
        assert read_line(client).isdigit()


@pytest.mark.windows_only
@pytest.mark.parametrize("source", [HANGS, HANGS_IN_A_LOOP], ids=["stream", "asyncio"])
def test_a_hang_in_c_with_the_lock_held_is_recorded_without_stacks_and_replaced(
    serve, host, source
):
    """
    Windows has no way to get them; everything else is as for any hang.
    """
    server = serve("-w", "1", "--timeout", "0.5", source=source).ready(1)
    hung = server.workers()[0]

    with server.connect() as client:
        client.sendall(b"c")
        server.wait_for("worker ready", pid=lambda pid: pid != hung)

    event = server.wait_for("worker hung")
    assert (hung, None) == (event["pid"], event["where"])
    incident = json.loads(host.path(event["incident"]).read_text())
    assert [] == incident["stacks"]
    assert "no stacks came" in incident["note"]
    [exited] = server.all("worker exited")
    assert ("SIGKILL", "hung") == (exited["status"], exited["cause"])


@pytest.mark.posix
def test_a_suspended_worker_is_replaced(serve, host):
    """
    SIGSTOP: nothing can be had from it but the kernel's view, and that is recorded.
    """
    server = serve("-w", "2", "--timeout", "0.5").ready(2)
    stopped = server.workers()[1]

    server.freeze(stopped)

    event = server.wait_for("worker hung")
    assert stopped == event["pid"]
    server.wait_for("worker suspended", pid=stopped)
    assert "T" == json.loads(host.path(event["incident"]).read_text())["kernel"]["state"]
    server.wait_for("worker exited", pid=stopped, cause="hung")
    server.ready(2)


@pytest.mark.posix
def test_a_worker_that_goes_on_in_time_stays(serve):
    """
    SIGCONT before the timeout, and nothing has happened.
    """
    server = serve("-w", "1", "--timeout", "1").ready(1)
    [pid] = server.pids()

    server.freeze(pid)
    server.wait_for("worker suspended")
    server.thaw(pid)
    server.wait_for("worker resumed")

    assert stays(lambda: server.pids() == {pid}, 1.3)
    assert [] == server.all("worker hung")
    assert server.ask(b"x").endswith(b"x")


@pytest.mark.posix
def test_a_busy_worker_that_is_suspended_keeps_its_connection_when_it_goes_on(serve):
    """
    A suspension does no harm to what is in progress.
    """
    server = serve("-w", "1", "--timeout", "0").ready(1)

    with server.connect() as client:
        pid = int(read_line(client))
        server.freeze(pid)
        server.wait_for("worker suspended")
        client.sendall(b"patience")
        server.thaw(pid)
        assert b"patience" == client.recv(100)


def test_timeout_0_is_never(serve):
    """
    Without a timeout nobody is hung, however long it takes.
    """
    server = serve("-w", "1", "--timeout", "0").ready(1)

    with server.connect() as client:
        pid = int(read_line(client))
        assert stays(lambda: pid in server.pids(), 1)

    assert [] == server.all("worker hung")


def test_others_serve_on_while_one_hangs(serve):
    """
    Nobody else notices: no request to the others fails.
    """
    source = HANGS.replace("connection.recv(1)", "")
    server = serve("-w", "3", "--timeout", "0.4", source=source).ready(3)

    with connect(server.address) as client:
        client.sendall(b"lock")
        hung = until(lambda: [w["pid"] for w in server.status()["workers"] if w["busy"]])[0]
        with Load(server.address, clients=2, message=b"") as load:
            server.wait_for("worker exited", pid=hung)
            load.more(50)

    assert [] == load.failures
    assert 0 == load.refused
    assert not server.is_alive(hung)


def test_many_that_hang_at_once_are_all_recorded(serve, host):
    """
    One incident for each of them, in different files.
    """
    server = serve("-w", "5", "--timeout", "0.5", source=HANGS).ready(5)
    clients = [server.connect() for _ in range(5)]

    for client in clients:
        client.sendall(b"lock")
    server.wait_for("worker exited", count=5)

    for client in clients:
        client.close()
    incidents = {event["incident"] for event in server.all("worker hung")}
    assert 5 == len(incidents)
    assert all(host.path(incident).is_file() for incident in incidents)
    server.ready(5)


def test_a_boot_that_takes_too_long_is_a_hang(serve, host, tmp_path):
    """
    An import that never ends is recorded with its line, and counts as a failed start.
    """
    source = """
        import threading

        threading.Event().wait()
    """
    limit = str(max(2.0, 0.25 * host.pace))  # long enough to get to the import
    limits = ["--restart-intensity", "1", "--boot-timeout", limit]
    server = serve("-w", "1", "--start", "spawn", *limits, source=source, prefix=host.first)

    assert 3 == server.wait()

    event = server.all("worker hung")[0]
    assert f"<module> ({host.shown(tmp_path / 'app.py')}:4)" == event["where"]
    assert {"hung"} == {event["cause"] for event in server.all("worker exited")}


@pytest.mark.posix
def test_a_mold_that_takes_too_long_is_a_hang(serve, host, tmp_path):
    """
    The same holds for the import in the mold.
    """
    source = """
        import threading

        threading.Event().wait()
    """
    limits = ["--restart-intensity", "1", "--boot-timeout", "2"]  # long enough to get there
    server = serve("-w", "1", "--start", "fork", *limits, source=source, prefix=host.first)

    assert 3 == server.wait()

    event = server.all("mold hung")[0]
    assert f"<module> ({tmp_path / 'app.py'}:4)" == event["where"]
