"""The signals of the contract, where they are not about the end."""

import os
import signal
from functools import partial

import pytest

from rig.clients import read_line
from rig.waiting import stays, until

pytestmark = pytest.mark.slow


def test_ttin_and_ttou_change_the_maximum_by_one(serve):
    """
    Of a fixed pool both limits move; it never falls below one.
    """
    server = serve("-w", "2").ready(2)

    server.signal(signal.SIGTTIN)
    server.ready(3)
    server.signal(signal.SIGTTOU)
    server.ready(2)
    server.signal(signal.SIGTTOU)
    server.ready(1)
    server.signal(signal.SIGTTOU)
    server.wait_for("limits changed", count=4)

    server.ready(1)
    changes = [(event["from"], event["to"]) for event in server.all("limits changed")]
    assert [("2..2", "3..3"), ("3..3", "2..2"), ("2..2", "1..1"), ("1..1", "1..1")] == changes


def test_ttin_and_ttou_leave_the_minimum_of_a_dynamic_pool(serve):
    """
    ``1..3`` becomes ``1..4``, and after three TTOU ``1..1``.
    """
    server = serve("-w", "1..3").ready(1)

    server.signal(signal.SIGTTIN)
    server.until_pool(minimum=1, maximum=4)
    for count in (3, 2, 1):
        server.signal(signal.SIGTTOU)
        server.until_pool(minimum=1, maximum=count)


def test_usr1_opens_the_log_anew_in_arbiter_and_workers(serve, tmp_path):
    """
    After a rename every process writes to the new file; the old one grows no more.
    """
    source = """
        import os

        def handle(connection, address):
            connection.sendall(b"%d\\n" % os.getpid())
            raise ValueError("a line of the worker's")
    """
    server = serve("-w", "3", source=source).ready(3)
    old = tmp_path / "rotated.log"
    server.log.path.rename(old)

    server.signal(signal.SIGUSR1)
    until(server.log.path.exists, what="a new log")
    for pid in server.pids():
        until(partial(_writes_to, pid, server.log.path), what=f"the new log of {pid}")
    size = old.stat().st_size
    answers = server.answers_of_all()
    text = server.log.path.read_text
    until(lambda: text().count("a line of the worker's") >= len(answers), what="all lines")

    assert "logs reopened" in server.log.path.read_text()
    assert size == old.stat().st_size
    server.stop()
    assert '"stopped"' in server.log.path.read_text()


def test_usr1_while_a_worker_is_busy(serve, tmp_path):
    """
    What is in progress is not disturbed, and it writes to the new file afterwards.
    """
    server = serve("-w", "1").ready(1)
    [pid] = server.pids()
    with server.connect() as client:
        read_line(client)
        server.log.path.rename(tmp_path / "rotated.log")
        server.signal(signal.SIGUSR1)
        until(lambda: _writes_to(pid, server.log.path), what="the new log")
        client.sendall(b"undisturbed")
        assert b"undisturbed" == client.recv(100)


def test_a_successor_writes_to_the_new_log_too(serve, tmp_path):
    """
    Workers that are forked after the rotation do not go back to the old file.
    """
    server = serve("-w", "1", "--start", "fork").ready(1)
    server.log.path.rename(tmp_path / "rotated.log")
    server.signal(signal.SIGUSR1)
    until(server.log.path.exists, what="a new log")

    server.result("scale", "2")
    server.ready(2)

    assert all(_writes_to(pid, server.log.path) for pid in server.pids())


def _writes_to(pid, path):
    try:
        return os.readlink(f"/proc/{pid}/fd/2") == str(path)  # noqa: PTH115
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR2"])
def test_signals_without_a_use_are_logged(serve, name):
    """
    HUP and USR2 are no reason to die.
    """
    server = serve("-w", "1").ready(1)

    server.signal(signal.Signals[name])

    assert "warning" == server.wait_for("signal ignored")["level"]
    assert server.ask(b"x").endswith(b"x")


def test_winch_is_ignored(serve):
    """
    A terminal that changes its size is nobody's business here.
    """
    server = serve("-w", "1").ready(1)
    before = len(server.all("worker ready"))

    server.signal(signal.SIGWINCH)

    assert stays(lambda: server.process.poll() is None, 0.2)
    assert before == len(server.all("worker ready"))


def test_a_storm_of_signals_is_survived(serve):
    """
    Hundreds at once: none ends it, and it serves on.
    """
    server = serve("-w", "2..3").ready(2)

    for _ in range(200):
        for signum in (signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR1, signal.SIGCHLD):
            server.signal(signum)

    assert server.ask(b"x").endswith(b"x")
    assert "running" == server.status()["state"]
    assert 0 == server.stop()
