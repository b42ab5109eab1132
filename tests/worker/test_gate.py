"""The gates, each in a process of its own, with a channel whose other end is the test's."""

import os
import random
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from prefork.ipc import messages
from prefork.ipc.scoreboard import Scoreboard
from prefork.platform.posix.signals import NUDGE
from prefork.platform.posix.system import memory_file
from prefork.sockets.backlog import tcp_queue
from rig.clients import connect, read_line
from rig.processes import state_of
from rig.waiting import pause, stays, until

pytestmark = pytest.mark.slow

CHILD = Path(__file__).with_name("gate_child.py")
MODES = ["blocking", "exclusive", "flock", "fcntl"]
every_mode = pytest.mark.parametrize("mode", MODES)


class Pool:
    """Listeners, a scoreboard, and children with a gate each."""

    def __init__(self, stack, mode, listeners=1):
        self.stack = stack
        self.mode = mode
        self.board_fd, self.mutex = memory_file("scoreboard"), memory_file("mutex")
        stack.callback(os.close, self.board_fd)
        stack.callback(os.close, self.mutex)
        self.scoreboard = Scoreboard.create(self.board_fd)
        self.listeners = [stack.enter_context(listening(mode)) for _ in range(listeners)]
        self.children = []

    @property
    def address(self):
        return "tcp://{}:{}".format(*self.listeners[0].getsockname())

    def start(self):
        child = Child(self, len(self.children))
        self.children.append(child)
        self.stack.callback(child.end)
        return child


def listening(mode):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as prefork does
    listener.bind(("127.0.0.1", 0))
    listener.listen(200)
    listener.setblocking(mode == "blocking")
    return listener


class Child:
    """A process with a gate."""

    def __init__(self, pool, slot):
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(10)
        self.row = pool.scoreboard.row(slot)
        fds = [listener.fileno() for listener in pool.listeners]
        command = [sys.executable, str(CHILD), pool.mode, "--slot", str(slot)]
        command += ["--channel", str(theirs.fileno()), "--board", str(pool.board_fd)]
        command += ["--mutex", str(pool.mutex)]
        command += [word for fd in fds for word in ("--listener", str(fd))]
        with theirs:
            inherited = [theirs.fileno(), pool.board_fd, pool.mutex, *fds]
            self.process = subprocess.Popen(command, pass_fds=inherited)
        self.pid = self.process.pid
        assert messages.Ready(self.pid) == messages.decode(read_line(self.channel))

    def nudge(self):
        os.kill(self.pid, NUDGE)

    def drain(self):
        self.channel.send(messages.DRAIN)
        self.nudge()

    def has_acknowledged(self):
        """Whether it knows that it is to leave; nudges again, as the arbiter does."""
        if not self.row.leaving:
            self.nudge()
        return self.row.leaving

    def has_left(self):
        """Whether it is gone; nudges again, as the arbiter does."""
        if self.process.poll() is None and not self.row.leaving:
            self.nudge()
        return self.process.poll() is not None

    def end(self):
        self.channel.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def pool_of():
    with ExitStack() as stack:
        yield lambda mode, listeners=1: Pool(stack, mode, listeners)


def serves(pool):
    with connect(pool.address) as client:
        return int(read_line(client))


@every_mode
def test_a_gate_lets_one_connection_after_another_in(pool_of, mode):
    """
    And nobody else's.
    """
    pool = pool_of(mode)
    child = pool.start()

    assert [child.pid] * 5 == [serves(pool) for _ in range(5)]


@every_mode
def test_an_idle_worker_that_is_drained_leaves(pool_of, mode):
    """
    It acknowledges, exits with 0, and the others serve on.
    """
    pool = pool_of(mode)
    first, second = pool.start(), pool.start()
    until(lambda: state_of(first.pid) == "S", what="an idle worker")

    first.drain()
    until(first.has_left)

    assert 0 == first.process.returncode
    assert 1 == first.row.leaving
    assert [second.pid] * 3 == [serves(pool) for _ in range(3)]


@every_mode
def test_a_busy_worker_that_is_drained_finishes_first(pool_of, mode):
    """
    It acknowledges at once, serves what it holds, and takes nothing new.
    """
    pool = pool_of(mode)
    child = pool.start()
    with connect(pool.address) as held:
        read_line(held)
        with connect(pool.address) as late:
            child.drain()
            until(child.has_acknowledged)
            held.sendall(b"finish this")
            assert b"finish this" == held.recv(100)
            held.close()
            assert 0 == child.process.wait(5)
            assert 1 == tcp_queue(pool.listeners[0])  # for somebody else
            heir = pool.start()
            assert heir.pid == int(read_line(late))


@every_mode
def test_a_nudge_alone_means_nothing(pool_of, mode):
    """
    Any signal may come at any time.
    """
    pool = pool_of(mode)
    child = pool.start()

    for _ in range(50):
        child.nudge()
        pause(0.001)

    assert child.pid == serves(pool)


@every_mode
def test_an_idle_orphan_leaves(pool_of, mode):
    """
    The end of the channel is the end of the arbiter.
    """
    child = pool_of(mode).start()
    child.channel.close()

    until(child.has_left)

    assert 0 == child.process.returncode


@every_mode
def test_a_busy_orphan_lets_go_of_the_port_at_once(pool_of, mode):
    """
    And finishes what it holds.
    """
    pool = pool_of(mode)
    child = pool.start()
    with connect(pool.address) as held:
        read_line(held)
        name = pool.listeners[0].getsockname()
        pool.listeners[0].close()
        child.channel.close()
        child.nudge()

        with socket.socket() as successor:
            successor.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            until(lambda: _bound(successor, name), what="a free port")
        held.sendall(b"finish this")
        assert b"finish this" == held.recv(100)
    assert 0 == child.process.wait(5)


def _bound(sock, name):
    try:
        sock.bind(name)
        sock.listen()
    except OSError:
        return False
    return True


@every_mode
def test_no_connection_falls_between_acceptance_and_leaving(pool_of, mode):
    """
    Drained at any moment under load: who was accepted is answered, who was not still waits.
    """
    chance = random.Random(7)
    pool = pool_of(mode)
    listener = pool.listeners[0]
    for _ in range(6):
        child = pool.start()
        with ExitStack() as stack:
            clients = [stack.enter_context(connect(pool.address)) for _ in range(30)]
            for client in clients:
                client.shutdown(socket.SHUT_WR)
            pause(chance.random() * 0.004)
            child.drain()
            until(child.has_left)
            assert 0 == child.process.returncode
            waiting = tcp_queue(listener)
            for client in clients[: 30 - waiting]:
                assert child.pid == int(read_line(client))
            listener.setblocking(True)
            for _ in range(waiting):
                listener.accept()[0].close()
            listener.setblocking(mode == "blocking")


@pytest.mark.parametrize("mode", ["exclusive", "flock", "fcntl"])
def test_several_listeners_at_one_gate(pool_of, mode):
    """
    A connection to any of them is let in.
    """
    pool = pool_of(mode, listeners=3)
    pool.start()
    pool.start()

    for _ in range(3):
        for listener in pool.listeners:
            with connect("tcp://{}:{}".format(*listener.getsockname())) as client:
                assert read_line(client).isdigit()


@pytest.mark.parametrize("mode", ["flock", "fcntl"])
def test_the_mutex_of_a_dead_holder_is_free(pool_of, mode):
    """
    kill -9 of each in turn: the last one still serves.
    """
    pool = pool_of(mode)
    children = [pool.start() for _ in range(4)]

    for child in children[:-1]:
        os.kill(child.pid, signal.SIGKILL)
        child.process.wait()
        assert serves(pool) in {other.pid for other in children}

    assert children[-1].pid == serves(pool)


@pytest.mark.parametrize("mode", ["flock", "fcntl"])
def test_who_waits_for_the_mutex_can_be_drained(pool_of, mode):
    """
    Also while the holder waits for a connection that does not come.
    """
    pool = pool_of(mode)
    holder = pool.start()
    until(lambda: state_of(holder.pid) == "S", what="a holder that waits")
    waiting = pool.start()

    waiting.drain()
    until(waiting.has_left)

    assert 0 == waiting.process.returncode
    assert holder.pid == serves(pool)


def test_a_listener_that_was_shut_down_is_left_in_peace(pool_of):
    """
    Between the arbiter's ``shutdown`` and its DRAIN a worker waits for orders, without spinning.
    """
    pool = pool_of("blocking")
    child = pool.start()
    pool.listeners[0].shutdown(socket.SHUT_RD)

    assert stays(lambda: child.process.poll() is None, 0.2)

    child.drain()
    until(child.has_left)
    assert 0 == child.process.returncode
