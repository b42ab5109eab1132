"""What happens to a connection between accept and handler: its time, and who waits meanwhile."""

import asyncio
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest

import prefork
from prefork.logs import log
from prefork.worker.connection import Connections, NotPrepared, Step, preparation_limit, time_left
from prefork.worker.loop.connections import LoopConnections
from prefork.worker.serving import serve, serve_threaded

LIMIT = 0.2  #: seconds for a preparation here


class Counting:
    """
    What is counted, by token; as in a worker with threads.
    """

    def __init__(self):
        self.begun, self.ended = [], []

    def begin(self, address):
        self.begun.append(address)
        return len(self.begun)

    def end(self, token, *, failed):
        self.ended.append((token, failed))


class Gate:
    """
    Lets in what clients have connected, one at a time, under a mutex.
    """

    def __init__(self, listener, mutex, count):
        self.listener, self.mutex, self.left = listener, mutex, count

    def accept(self):
        if not self.left:
            return None
        self.left -= 1
        with self.mutex:
            return self.listener.accept()


def first_byte(connection, deadline):
    """
    A preparation that waits for the client, as a handshake does.
    """
    assert connection.recv(1)
    return connection


async def first_byte_in_loop(connection, deadline):
    assert await asyncio.get_running_loop().sock_recv(connection, 1)
    return connection


async def refuse(connection, deadline):
    raise ValueError("no handshake of ours")


FIRST_BYTE = Step(blocking=first_byte, in_loop=first_byte_in_loop)


@pytest.fixture
def events():
    """
    What is logged, instead of being written.
    """
    noted = []
    note = lambda event, *_, **fields: noted.append((event, fields))  # noqa: E731
    before = log.current()
    noting: Any = SimpleNamespace(exception=note, warning=note)
    log.use(noting)
    yield noted
    log.use(before)


@pytest.fixture
def world():
    """
    A listener and a mutex, and clients that are closed at the end.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def client(data=b""):
            connection = socket.create_connection(listener.getsockname(), 10)
            connection.sendall(data)
            return stack.enter_context(connection)

        yield SimpleNamespace(listener=listener, mutex=threading.Lock(), client=client)


@contextmanager
def taking(seconds):
    """
    Checks that the block takes less than ``seconds``.
    """
    start = monotonic()
    yield
    assert monotonic() - start < seconds


def test_a_preparation_that_never_ends_is_cut_off(world, events):
    """
    The connection is closed, logged and counted as failed; the worker serves on.
    """
    counting, handled = Counting(), []
    silent, talking = world.client(), world.client(b"xhello")

    with taking(10):
        connections = Connections(counting, [FIRST_BYTE], LIMIT)
        gate = Gate(world.listener, world.mutex, 2)
        serve(gate, lambda connection, _: handled.append(connection.recv(10)), connections)

    assert [b"hello"] == handled
    assert b"" == silent.recv(1)
    assert [(1, True), (2, False)] == counting.ended
    assert [("connection dropped", "not ready in time")] == [
        (event, fields["reason"]) for event, fields in events
    ]
    assert talking.getsockname() == counting.begun[1]


def test_a_client_cannot_stretch_the_time_by_sending_slowly(world, events):
    """
    The limit is for the whole preparation: each call has only what is left of it.
    """
    over = threading.Event()

    def line(connection, deadline):
        while connection.recv(1) != b"\n":
            connection.settimeout(time_left(deadline))
        return connection

    def trickle(client):
        while not over.wait(LIMIT / 10):
            client.sendall(b"x")

    with ThreadPoolExecutor() as pool, taking(10):
        pool.submit(trickle, world.client())
        connections = Connections(Counting(), [Step(blocking=line, in_loop=refuse)], LIMIT)
        serve(Gate(world.listener, world.mutex, 1), lambda *_: None, connections)
        over.set()

    assert ["not ready in time"] == [fields["reason"] for _, fields in events]


def test_whoever_prepares_keeps_nobody_from_accepting(world):
    """
    Neither mutex nor gate is held meanwhile: other workers take what comes next.
    """
    preparing, goes_on = threading.Event(), threading.Event()

    def stuck(connection, deadline):
        preparing.set()
        assert goes_on.wait(10)
        return connection

    def work(steps, handled):
        gate = Gate(world.listener, world.mutex, 1)
        serve(gate, lambda connection, _: handled.set(), Connections(Counting(), steps, 60.0))

    first, second = threading.Event(), threading.Event()
    step = Step(blocking=stuck, in_loop=refuse)
    slow = threading.Thread(target=work, args=([step], first))
    slow.start()
    world.client()
    assert preparing.wait(10)
    world.client()
    quick = threading.Thread(target=work, args=([], second))
    quick.start()

    assert second.wait(10)
    assert not first.is_set()
    goes_on.set()
    assert first.wait(10)
    slow.join()
    quick.join()


def test_a_thread_prepares_its_own_connection(world):
    """
    The thread that accepts goes on: a worker with two serves the second client meanwhile.
    """
    handled = threading.Event()
    world.client()
    world.client(b"x")
    gate = Gate(world.listener, world.mutex, 2)
    connections = Connections(Counting(), [FIRST_BYTE], 1.0)

    with taking(10):
        serve_threaded(gate, lambda connection, _: handled.set(), connections, 2)

    assert handled.is_set()


def test_a_handler_gets_the_connection_as_accept_made_it(world):
    """
    The time limit of the preparation is gone, and what a step returned has its place.
    """
    seen = []

    def wrapped(connection, deadline):
        assert 0 < connection.gettimeout() <= LIMIT
        assert deadline - monotonic() <= LIMIT
        return socket.socket(fileno=connection.detach())

    world.client()
    steps = [Step(blocking=wrapped, in_loop=refuse)] * 2
    gate = Gate(world.listener, world.mutex, 1)
    handler = lambda connection, _: seen.append((connection.gettimeout(), connection.fileno()))  # noqa: E731
    serve(gate, handler, Connections(Counting(), steps, LIMIT))

    ((timeout, fd),) = seen
    assert timeout is None
    assert fd >= 0


def test_a_program_that_accepts_gets_only_what_is_prepared(world, events):
    """
    The others are passed over, and counted as failed.
    """
    counting = Counting()
    world.client()
    world.client(b"xhello")

    connections = Connections(counting, [FIRST_BYTE], LIMIT)
    gate = Gate(world.listener, world.mutex, 2)
    taken = [connection.recv(10) for connection in connections.taken_from(gate)]

    assert [b"hello"] == taken
    assert [(1, True), (2, False)] == counting.ended
    assert ["connection dropped"] == [event for event, _ in events]


def test_a_step_that_fails_ends_one_connection(world, events):
    """
    With its reason in the log, whatever it raised.
    """

    def fails(connection, deadline):
        raise ValueError("no handshake of ours")

    client = world.client()
    gate = Gate(world.listener, world.mutex, 1)
    step = Step(blocking=fails, in_loop=refuse)
    serve(gate, lambda *_: pytest.fail("it was handled"), Connections(Counting(), [step]))

    assert b"" == client.recv(1)
    assert ["no handshake of ours"] == [fields["reason"] for _, fields in events]


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (FIRST_BYTE, "not ready in time"),
        (Step(blocking=first_byte, in_loop=refuse), "no handshake of ours"),
    ],
)
def test_in_an_event_loop_the_same_holds(world, events, step, reason):
    """
    While one connection is prepared in vain, the loop prepares others.
    """

    async def prepare():
        connections = Connections(Counting(), [step], LIMIT)
        accepted = [world.listener.accept() for _ in range(2)]
        for connection, _ in accepted:
            connection.setblocking(False)
        return await asyncio.gather(
            *(connections.prepared_in_loop(*each) for each in accepted), return_exceptions=True
        )

    silent = world.client()
    world.client(b"x")
    with taking(10):
        outcomes = asyncio.run(prepare())

    assert isinstance(outcomes[0], NotPrepared)
    assert b"" == silent.recv(1)
    assert reason == events[0][1]["reason"]
    if step is FIRST_BYTE:
        assert isinstance(outcomes[1], socket.socket)
        outcomes[1].close()


def test_a_slow_preparation_in_an_event_loop_keeps_the_worker_from_nothing(world):
    """
    The gate may take the next connection while one is prepared, and hears of each only once.
    """
    settled: list[int] = []
    served: list[int] = []
    gate = SimpleNamespace(settled=settled.append, finished=lambda key: None)

    async def converse(connection):
        transport = await connection.connect(asyncio.Protocol())
        served.append(connection.key)
        transport.close()

    async def accept_two():
        connections = LoopConnections(
            converse, Connections(Counting(), [FIRST_BYTE]), gate, None, lambda: False
        )
        keys = [connections.take(*world.listener.accept()) for _ in range(2)]
        while len(settled) < 2:
            await asyncio.sleep(0)
        assert served == []
        for client in clients:
            client.sendall(b"x")
        await connections.finished()
        return keys

    clients = [world.client(), world.client()]
    with taking(10):
        keys = asyncio.run(accept_two())

    assert keys == settled
    assert keys == sorted(served)


@pytest.mark.parametrize(("timeout", "limit"), [(0, 10), (30, 10), (20, 10), (5, 2.5), (0.1, 0.05)])
def test_a_client_is_given_up_before_its_worker_is_hung(timeout, limit):
    """
    Within ten seconds, or half of ``timeout``; 0 is never.
    """
    assert limit == preparation_limit(timeout)


def test_there_is_one_place_between_accept_and_handler():
    """
    Who counts a connection as accepted also prepares it, so nothing goes past the preparation.
    """
    source = Path(prefork.__file__).parent / "worker"

    counting = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if re.search(r"counters\.begin\b", path.read_text())
    }

    assert {"connection.py"} == counting
