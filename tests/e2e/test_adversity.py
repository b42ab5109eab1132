"""A full pipe, no place for files, no descriptors left: it goes on."""

import os
import resource
import shutil
import signal
import subprocess

import pytest

from rig.clients import Load, ask, connect, read_line
from rig.server import operate
from rig.systems import each_accept, on_posix
from rig.waiting import stays, until

pytestmark = pytest.mark.slow

CAN_MOUNT = (
    os.geteuid() == 0
    and shutil.which("unshare") is not None
    and subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"],
        stderr=subprocess.DEVNULL,
        check=False,
    ).returncode
    == 0
)


@pytest.mark.windows
def test_a_full_standard_error_stops_neither_arbiter_nor_workers(serve):
    """
    Nobody reads the pipe: the pool is supervised, and clients are served.
    """
    source = """
        import os

        def handle(connection, address):
            connection.sendall(b"%d\\n" % os.getpid())
            raise ValueError("a long line " * 100)
    """
    reader, writer = os.pipe()
    try:
        server = serve("-w", "2", source=source, stderr=writer).ready(2)
        for _ in range(200):  # a traceback each; the pipe holds 64 KiB
            assert ask(server.address)
        for _ in range(3):
            victim = server.workers()[0]
            server.kill(victim)
            server.until_replaced(victim)
            server.ready(2)
        assert ask(server.address)
        assert "running" == server.result("status")["state"]
        assert 0 == server.stop()
    finally:
        os.close(writer)
        os.close(reader)


def test_the_log_of_a_full_pipe_follows_when_it_is_read(serve):
    """
    What could not be written waits; after it has been read, the next events come.
    """
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    try:
        server = serve("-w", "1", stderr=writer).ready(1)
        for number in range(600):
            server.signal(signal.SIGTTIN if number % 2 else signal.SIGTTOU)
            server.signal(signal.SIGHUP)
        until(lambda: _has_settled(server), what="a pool at its maximum")
        text = ""

        def read():
            nonlocal text
            try:
                text += os.read(reader, 1 << 20).decode()
            except BlockingIOError:
                pass
            return text

        until(read)
        server.signal(signal.SIGTERM)
        until(lambda: '"stopped"' in read(), what="the last event")
        assert 0 == server.wait()
    finally:
        os.close(writer)
        os.close(reader)


def _has_settled(server):
    """Signals are heard when their time comes, and those of a kind that came together once."""
    pool = server.status()["pool"]
    return pool["ready"] == pool["maximum"] and not pool["starting"] + pool["draining"]


@pytest.mark.windows
@pytest.mark.parametrize("closed", ["a closed pipe", on_posix("nothing at all")])
def test_a_standard_error_that_is_gone_is_survived(serve, closed):
    """
    EPIPE or EBADF: nobody is left to complain to.
    """
    reader, writer = os.pipe()
    prefix = ["sh", "-c", 'exec "$@" 2>&-', "-"] if closed == "nothing at all" else []
    try:
        server = serve("-w", "2", stderr=writer, prefix=prefix).ready(2)
        os.close(reader)
        reader = -1
        server.kill(server.workers()[0])
        until(lambda: server.status()["totals"]["crashed"] == 1)
        server.ready(2)

        assert server.ask(b"x").endswith(b"x")
        assert 0 == server.stop()
    finally:
        os.close(writer)
        if reader >= 0:
            os.close(reader)


def test_a_foreign_run_time_directory_is_not_trusted(serve, runtime):
    """
    One that others may write to is passed over.
    """
    (runtime / "prefork").mkdir()
    (runtime / "prefork").chmod(0o777)
    server = serve("-w", "1", env={"RUNTIME_DIRECTORY": str(runtime / "own")})

    control = server.wait_for("listening")["control"]

    assert control.startswith(f"unix:{runtime / 'own'}/")
    server.wait_for("worker ready")
    done = operate(server.env, "status", "--name", server.name)
    assert 0 == done.returncode, done.stderr


@pytest.mark.skipif(not CAN_MOUNT, reason="only root can mount")
@pytest.mark.parametrize("temporary", ["read-only", "writable"])
def test_without_a_place_for_its_files_a_server_serves(serve, runtime, temporary):
    """
    A read-only system: one warning, and everything works but the operators' commands.
    """
    everywhere = ["/run", "/var/tmp"] + (["/tmp"] if temporary == "read-only" else [])
    ro = "; ".join(
        f"mount -B {path} {path}; mount -o remount,bind,ro {path}" for path in everywhere
    )
    env = {"XDG_RUNTIME_DIR": "/proc/nowhere"}
    prefix = ["unshare", "-m", "sh", "-c", f'{ro}; exec "$@"', "-"]
    options = ["-w", "2", "--bind", f"unix:@{runtime.name}"]
    server = serve(*options, target="prefork.echo:handle", env=env, prefix=prefix)

    server.wait_for("worker ready", count=2)

    assert b"served" == ask(f"unix:@{runtime.name}", b"served")
    warnings = [event for event in server.log.events if event["level"] == "warning"]
    if temporary == "read-only":
        assert ["no place for the run-time files"] == [event["event"] for event in warnings]
        assert "off" == server.wait_for("listening")["control"]
    else:
        assert [] == warnings
    victim = server.wait_for("worker ready")["pid"]
    server.kill(victim)
    server.wait_for("worker ready", count=3)
    assert 0 == server.stop()
    assert [] == server.log.others


def test_a_control_socket_that_cannot_be_had_is_one_warning(serve):
    """
    The server serves, and its status can be read.
    """
    server = serve("-w", "1", "--control", "unix:/no/such/directory/c").ready(1)

    assert "unix:/no/such/directory/c" == server.wait_for("control socket not opened")["address"]
    assert 1 == len([event for event in server.log.events if event["level"] == "warning"])
    assert server.pid == server.result("status")["pid"]
    assert server.ask(b"x").endswith(b"x")


@each_accept
def test_a_worker_without_descriptors_waits_for_better_times(serve, accept):
    """
    EMFILE: a warning now and then instead of a storm, and clients are served when one is free.
    """
    source = """
        import os, socket

        hoard = []

        def handle(connection, address):
            what = connection.recv(10)
            if what == b"take":
                try:
                    while True:
                        hoard.append(os.open("/dev/null", os.O_RDONLY))
                except OSError:
                    connection.sendall(b"taken")
                # One is left over when this connection is closed: it is taken, too.
                connection.close()
                hoard.append(os.open("/dev/null", os.O_RDONLY))
                signal.setitimer(signal.ITIMER_REAL, 0.5)
            connection.sendall(b"served") if what != b"take" else None

        import signal

        def give_back(signum, frame):
            while hoard:
                os.close(hoard.pop())

        def install():
            signal.signal(signal.SIGALRM, give_back)
            return handle
    """
    limited = ["sh", "-c", 'ulimit -S -n 60; exec "$@"', "-"]
    options = ["-w", "1", "--accept", accept, "--factory"]
    server = serve(*options, source=source, target="app:install", prefix=limited).ready(1)

    assert b"taken" == server.ask(b"take")
    assert b"served" == server.ask(b"here I am")

    told = server.all("cannot accept")
    assert 1 <= len(told) <= 15
    assert "open files" in told[0]["reason"]


def test_an_arbiter_without_descriptors_keeps_what_it_has(serve):
    """
    A pool that may not grow any more is told so in the log, and goes on with who is there.
    """
    hard = 40
    limited = ["sh", "-c", f'ulimit -n {hard}; exec "$@"', "-"]
    options = ["-w", "2", "--restart-delay", "0.05"]
    server = serve(*options, prefix=limited).ready(2)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] > hard

    server.result("scale", "40")
    server.wait_for("worker not started")

    assert server.ask(b"x").endswith(b"x")
    server.result("scale", "2")
    server.ready(2)
    assert server.ask(b"x").endswith(b"x")
    assert 0 == server.stop()


@pytest.mark.windows
def test_a_suspended_arbiter_does_not_stop_the_workers(serve):
    """
    They accept by themselves; when it goes on, it sees to what happened.
    """
    server = serve("-w", "2").ready(2)
    server.freeze(server.pid)
    victim = server.workers()[0]
    server.kill(victim)
    until(lambda: not server.is_alive(victim), what="a dead worker")

    with Load(server.address, clients=2) as load:
        load.more(50)
        server.thaw(server.pid)
        server.wait_for("worker exited")
        server.ready(2)
        load.more(50)

    assert [] == load.failures


@pytest.mark.windows
def test_a_worker_that_is_killed_in_the_middle_of_its_drain(serve):
    """
    Its end is a stop all the same, and the server ends.
    """
    server = serve("-w", "1").ready(1)
    with connect(server.address) as client:
        pid = int(read_line(client))
        server.signal(signal.SIGTERM)
        server.wait_for("worker draining")
        server.kill(pid)
        assert 0 == server.wait()

    [event] = server.all("worker exited")
    assert (server.host.killed, "stopped") == (event["status"], event["cause"])


@pytest.mark.windows
def test_no_process_is_left_after_a_stop(serve):
    """
    After the stop no process of the server is left, also when it was busy starting some.
    """
    server = serve("-w", "30").appear()
    server.wait_for("worker started", count=5)

    assert 0 == server.stop()

    assert stays(lambda: not any(map(server.is_alive, server.family())), 0.3)
