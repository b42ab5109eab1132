"""sd_notify, to a socket of the test's own."""

import os
import socket

import pytest

from prefork.platform.service_manager import ServiceManager


@pytest.fixture
def manager(tmp_path, monkeypatch):
    """
    A receiver, and the variables that lead to it.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "n"))
        receiver.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        yield receiver


def told(manager):
    found = []
    try:
        while True:
            found.append(manager.recv(1000).decode().splitlines()[0])
    except BlockingIOError:
        return found


def test_each_state_is_told_once(manager):
    """
    READY and STOPPING are systemd's words, the rest is for people.
    """
    service = ServiceManager()
    for state in ("starting", "running", "running", "stopping", "stopping"):
        service.report(state, 3)

    assert ["STATUS=starting, 3 processes", "READY=1", "STOPPING=1"] == told(manager)


def test_the_variables_are_taken_away(manager, monkeypatch):
    """
    They must not reach a worker, nor what it starts.
    """
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))

    ServiceManager()

    assert [] == [n for n in os.environ if n.startswith(("NOTIFY_", "WATCHDOG_"))]


def test_the_watchdog_is_fed_twice_a_period(manager, monkeypatch):
    """
    At each deadline, and not in between.
    """
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    service = ServiceManager()

    service.beat(100.0)
    assert 101.0 == service.deadline()
    service.beat(100.9)
    service.beat(101.0)

    assert ["WATCHDOG=1"] * 2 == told(manager)


@pytest.mark.parametrize(("usec", "pid"), [("0", None), ("x", None), ("", None), ("1000", "1")])
def test_a_watchdog_that_is_not_ours_is_not_fed(manager, monkeypatch, usec, pid):
    """
    Nonsense, nothing, or another process's.
    """
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    if pid:
        monkeypatch.setenv("WATCHDOG_PID", pid)

    assert ServiceManager().deadline() is None


def test_without_a_manager_nothing_happens(monkeypatch):
    """
    Not even a thought of a deadline.
    """
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    service = ServiceManager()

    service.report("running", 1)
    service.beat(1.0)

    assert service.deadline() is None
