"""What systemd gives and expects, from a stand-in for it or from its own tool."""

import os
import shutil
import socket
import subprocess
import sys

import pytest

from rig.clients import ask, connect, read_line
from rig.server import environment
from rig.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def manager(runtime):
    """
    A notification socket as systemd has one.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(runtime / "notify"))
        receiver.settimeout(10)
        yield receiver


def notified_of(manager, word):
    """Return the next notification with ``word``, as its lines."""
    while True:
        lines = manager.recv(4096).decode().splitlines()
        if word in lines:
            return lines


@pytest.mark.parametrize("form", ["path", "abstract"])
def test_ready_and_stopping_are_notified(serve, runtime, form):
    """
    READY=1 when the first worker is ready, not before; STOPPING=1 when the end begins.
    """
    source = """
        import select

        select.select([], [], [], 0.5)

        def handle(connection, address):
            connection.sendall(b"x\\n")
            connection.recv(1)
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        name = f"@{runtime.name}" if form == "abstract" else str(runtime / "notify")
        manager.bind("\0" + name[1:] if form == "abstract" else name)
        manager.settimeout(10)
        server = serve("-w", "1", source=source, env={"NOTIFY_SOCKET": name})

        assert any(line.startswith("STATUS=") for line in notified_of(manager, "READY=1"))
        assert server.all("worker ready")
        with server.connect() as client:
            read_line(client)
            server.signal(15)
            notified_of(manager, "STOPPING=1")
            assert server.process.poll() is None
        assert 0 == server.wait()


def test_an_on_demand_server_is_ready_without_a_worker(serve, manager):
    """
    With ``0..2`` nobody has to be there for the server to be ready.
    """
    server = serve("-w", "0..2", env={"NOTIFY_SOCKET": manager.getsockname()})

    notified_of(manager, "READY=1")

    assert [] == server.status()["workers"]


def test_the_watchdog_is_fed_in_time(serve, manager):
    """
    At least twice in each WATCHDOG_USEC, and never by a stopped arbiter.
    """
    env = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "400000"}
    serve("-w", "1", env=env).ready(1)

    manager.settimeout(0.4)  # longer, and systemd would kill it
    for _ in range(5):
        notified_of(manager, "WATCHDOG=1")


def test_a_watchdog_for_another_process_is_not_ours(serve, manager):
    """
    WATCHDOG_PID says whom it is for.
    """
    env = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}
    serve("-w", "1", env=env).ready(1)
    notified_of(manager, "READY=1")

    manager.settimeout(0.5)
    with pytest.raises(TimeoutError):
        manager.recv(100)


def test_a_manager_that_is_gone_is_no_reason_to_stop(serve, runtime):
    """
    Nobody listens at NOTIFY_SOCKET: the server serves all the same.
    """
    server = serve("-w", "1", env={"NOTIFY_SOCKET": str(runtime / "gone")}).ready(1)

    assert server.ask(b"x").endswith(b"x")


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_passed_sockets_are_adopted(serve, count, start_method):
    """
    LISTEN_FDS and LISTEN_PID by hand: descriptors 3 and following are served, nothing else is.
    """
    script = (
        "import os, socket, sys; count = int(sys.argv[1]); kept = [];\n"
        "for fd in range(3, 3 + count):\n"
        "    s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()\n"
        "    number = s.detach()\n"
        "    os.dup2(number, fd, inheritable=True) if number != fd else "
        "os.set_inheritable(fd, True)\n"
        "os.environ.update(LISTEN_FDS=str(count), LISTEN_PID=str(os.getpid()))\n"
        "os.execv(sys.argv[2], sys.argv[2:])\n"
    )
    passing = [sys.executable, "-c", script, str(count)]
    server = serve("-w", "2", "--start", start_method, prefix=passing, bind=None).ready(2)

    assert count == len(server.addresses)
    for address in server.addresses:
        assert ask(address, b"x").endswith(b"x")
    assert 0 == server.stop()


@pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="no systemd-socket-activate"
)
def test_systemds_own_tool_starts_us_with_the_first_client(write, runtime, tmp_path):
    """
    systemd-socket-activate listens, and hands over; its first client is served.
    """
    write("def handle(connection, address):\n    connection.sendall(connection.recv(100))\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = environment(runtime)
    passed = [f"--setenv={name}" for name in ("XDG_RUNTIME_DIR", "PATH", "HOME") if name in env]
    command = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", *passed]
    command += [sys.executable, "-m", "prefork", "serve", "app", "-w", "1", "--name", "sd"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=env, stderr=log)
    try:
        address = f"tcp://127.0.0.1:{port}"
        client = until(lambda: _connected(address), what="a listening systemd")
        with client:
            client.sendall(b"through systemd")
            assert b"through systemd" == client.recv(100)
        assert b"again" == ask(address, b"again")
    finally:
        process.terminate()
        status = process.wait(10)
    print((tmp_path / "log").read_text())
    assert 0 == status


def _connected(address):
    try:
        return connect(address)
    except ConnectionRefusedError:
        return None


def test_a_run_time_directory_of_systemds_is_used(serve, runtime, tmp_path):
    """
    RUNTIME_DIRECTORY goes before XDG_RUNTIME_DIR, for the server and for the operators.
    """
    given = runtime / "given"
    server = serve("-w", "1", env={"RUNTIME_DIRECTORY": f"{given}:/other"})
    server.wait_for("worker ready")

    assert server.wait_for("listening")["control"].startswith(f"unix:{given}/")
    assert server.pid == server.result("status")["pid"]
    assert os.listdir(runtime) == ["given"]
