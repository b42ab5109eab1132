"""The gate in one process: what it takes, and when it leaves."""

import socket
import struct
import threading
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from prefork.logs import log
from prefork.platform.windows.api import Event, Mutex, Waits
from prefork.worker.accept.windows import WindowsGate


class World:
    """Two listeners, and what a gate needs."""

    def __init__(self, stack):
        self.stack = stack
        self.stop = stack.enter_context(Event.create())
        self.mutex = stack.enter_context(Mutex.create())
        self.listeners = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)
        ]
        self.complaints = []

    def gate(self):
        return WindowsGate(self.listeners, self.stop, self.mutex)

    def client(self, listener=0):
        address = self.listeners[listener].getsockname()
        return self.stack.enter_context(socket.create_connection(address, 10))

    def accepted(self, gate):
        connection, address = gate.accept()
        self.stack.enter_context(connection)
        return connection, address


@pytest.fixture
def world():
    """
    Everything is closed afterwards.
    """
    with ExitStack() as stack:
        world = World(stack)
        stack.callback(log.use, log.current())
        noting: Any = SimpleNamespace(warning=lambda event, **_: world.complaints.append(event))
        log.use(noting)
        yield world


def test_what_is_taken_is_an_ordinary_connection(world):
    """
    It blocks, does not delay answers, is inherited by nobody, and knows its client.
    """
    gate, client = world.gate(), world.client()

    connection, address = world.accepted(gate)

    assert client.getsockname() == address
    assert connection.gettimeout() is None
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert not connection.get_inheritable()
    threading.Timer(0.2, client.sendall, (b"late",)).start()
    assert b"late" == connection.recv(9)


def test_who_waits_already_is_taken_in_turn_from_each_listener(world):
    """
    A listener with many clients does not keep the others from theirs.
    """
    gate = world.gate()
    clients = [world.client(number) for number in (0, 0, 0, 1)]

    taken = {world.accepted(gate)[1] for _ in range(2)}

    assert clients[3].getsockname() in taken


def test_a_client_that_comes_later_ends_the_wait(world):
    """
    At any listener, and also when the one before was there at once.
    """
    gate = world.gate()
    for listener in (0, 1, 1, 0):
        timer = threading.Timer(0.1, lambda listener=listener: world.client(listener))
        timer.start()
        connection, _ = world.accepted(gate)
        timer.join()

        assert world.listeners[listener].getsockname() == connection.getsockname()


def test_the_order_to_leave_comes_before_the_mutex(world):
    """
    Whoever is to leave takes nothing, and does not keep the mutex.
    """
    gate = world.gate()
    world.client()
    world.stop.set()

    assert gate.accept() is None
    assert is_free(world.mutex)


@pytest.mark.parametrize("whose", ["ours", "another's"])
def test_the_order_to_leave_ends_the_wait(world, whose):
    """
    For a connection, if it is our turn, and otherwise for the mutex.
    """
    gate = world.gate()
    with ExitStack() as stack:
        if whose != "ours":
            stack.enter_context(held(world.mutex))
        timer = threading.Timer(0.2, world.stop.set)
        timer.start()

        assert gate.accept() is None
        timer.join()
    assert is_free(world.mutex)


def test_a_client_that_has_gone_disturbs_nobody(world):
    """
    Whether its connection is told of or not, the next one is served.
    """
    gate = world.gate()
    gone = world.client()
    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh", 1, 0))
    gone.close()
    client = world.client()

    addresses = set()
    while client.getsockname() not in addresses:
        addresses.add(world.accepted(gate)[1])
    assert [] == world.complaints


def test_a_listener_that_is_closed_is_an_error(world):
    """
    Otherwise a worker would wait for ever for nothing.
    """
    gate = world.gate()
    for listener in world.listeners:
        listener.detach()

    with pytest.raises(OSError):
        gate.accept()
    assert is_free(world.mutex)


def is_free(mutex):
    """Tell whether another thread could have ``mutex`` at once."""
    found = []

    def look():
        had = Waits([mutex.value]).wait(0) == 0
        if had:
            mutex.release()
        found.append(had)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found[0]


class held:  # noqa: N801 (used like a function)
    """Another thread has the mutex meanwhile."""

    def __init__(self, mutex):
        self.mutex, self.had, self.enough = mutex, threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.hold)

    def hold(self):
        assert 0 == Waits([self.mutex.value]).wait(5)
        self.had.set()
        self.enough.wait()
        self.mutex.release()

    def __enter__(self):
        self.thread.start()
        assert self.had.wait(5)

    def __exit__(self, *_):
        self.enough.set()
        self.thread.join()
