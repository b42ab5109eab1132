"""Connections served in the loops that Windows has."""

import asyncio
import os
import socket
import struct
import threading
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from loopworld import LIMIT, LOOPS_ROW, for_a_while, in_loop, settings, until, world

from prefork.errors import HandlerError
from prefork.ipc.scoreboard import Scoreboard
from prefork.kinds import kind_named
from prefork.kinds.event_loop.choice import SELECTABLE
from prefork.kinds.targets.finding import LoadedHandler
from prefork.logs import log
from prefork.platform.windows.files import memory_file
from prefork.worker.loop.windows_loops import loop_factory

__all__ = ["world"]  # a fixture


async def echo(reader, writer):
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


HANDLERS = {
    "asyncio": LoadedHandler(echo, kind_named("asyncio"), "echo"),
    "protocol": LoadedHandler(Echo, kind_named("protocol"), "Echo"),
}


@pytest.fixture
def told():
    """
    What is logged, instead of being written.
    """
    events = []
    note = lambda event, *_, **fields: events.append((event, fields))  # noqa: E731
    before = log.current()
    recording: Any = SimpleNamespace(exception=note, warning=note)
    log.use(recording)
    yield events
    log.use(before)


@pytest.mark.parametrize("kind", ["asyncio", "protocol"])
@in_loop
async def test_connections_are_served(world, kind):
    """
    By both kinds of handlers, many at once, large ones, and none after the end.
    """
    worker = world.worker(handler=HANDLERS[kind])
    message = os.urandom(1 << 20)

    def ask():
        with socket.create_connection(world.listener.getsockname(), LIMIT) as client:
            thread = threading.Thread(target=client.sendall, args=(message,))
            thread.start()
            answer = b""
            while len(answer) < len(message):
                answer += client.recv(1 << 16)
            thread.join()
            return answer == message

    answers = [asyncio.to_thread(ask) for _ in range(5)]

    assert [True] * 5 == await asyncio.gather(*answers)
    await worker.connections.finished()
    assert (0, 5) == (worker.row.active, worker.row.handled)


@pytest.mark.parametrize("kind", ["asyncio", "protocol"])
@in_loop
async def test_a_client_that_goes_by_a_reset_is_no_error_of_the_loop(world, told, kind):
    """
    Whether the worker reads or writes; the handler may see it.
    """
    worker = world.worker(handler=HANDLERS[kind])
    for sent in (b"", b"x" * (1 << 20)):
        client = world.client()
        client.setblocking(False)
        while sent:  # until nothing goes any more, for what comes back is not read
            try:
                client.send(sent)
            except BlockingIOError:
                break
            await asyncio.sleep(0)
        await for_a_while()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh", 1, 0))
        client.close()
        await until(lambda: worker.row.active == 0)

    assert 2 == worker.row.handled
    assert set() == {event for event, _ in told} - {"handler failed"}


@in_loop
async def test_a_reset_at_the_end_of_a_connection_is_told_to_nobody(world, told):
    """
    Windows refuses to shut such a connection down, and the loop's transport does not expect it.
    """

    class _ProactorBasePipeTransport:
        def _call_connection_lost(self):
            raise ConnectionResetError(10054, "reset by the client")

        def another(self):
            raise ConnectionResetError(10054, "reset by the client")

    world.worker(handler=HANDLERS["protocol"])
    loop, transport = asyncio.get_running_loop(), _ProactorBasePipeTransport()
    loop.call_soon(transport._call_connection_lost)
    loop.call_soon(transport.another)
    await for_a_while()

    ((event, fields),) = told
    assert ("event loop error", True) == (event, "another" in fields["reason"])


@in_loop
async def test_who_comes_next_does_not_wait_behind_a_first_request(world):
    """
    Nobody is accepted before it has been answered, if it has come with its connection.
    """
    seen: list = []

    async def handle(reader, _):
        await reader.read(1)
        before = worker.counting.accepted
        threading.Event().wait(0.05)
        seen.append(worker.counting.accepted - before)

    for _ in range(5):
        world.client().sendall(b"x")
    worker = world.worker(handler=LoadedHandler(handle, kind_named("asyncio"), "handle"))
    await until(lambda: worker.row.handled == 5)

    assert [0] * 5 == seen


def test_each_setting_has_its_loop():
    """
    Windows' own kind, unless the other is asked for.
    """
    row = Scoreboard.create(memory_file("board")).row(0)
    kinds = {"auto": "Proactor", "asyncio": "Proactor", "proactor": "Proactor"}
    for asked, expected in {**kinds, "selector": "Turn"}.items():
        loop = loop_factory(settings(asked), row)()
        assert expected in type(loop).__name__
        loop.close()


@pytest.mark.parametrize(
    ("loop", "concurrency", "reason"),
    [
        ("uvloop", 1, "none for Windows"),
        ("selector", SELECTABLE + 1, "loop = proactor holds any"),
    ],
)
def test_a_loop_that_cannot_be_had_is_refused(loop, concurrency, reason):
    """
    By a sentence that says what is there.
    """
    row = Scoreboard.create(memory_file("board")).row(0)
    with pytest.raises(HandlerError, match=reason):
        loop_factory(settings(loop, concurrency), row)


@in_loop
async def test_the_loops_turns_are_told(world):
    """
    Since when the present one lasts; nothing while it sleeps.
    """
    row = world.scoreboard.row(LOOPS_ROW)
    await asyncio.sleep(0)
    assert 0 <= monotonic() - row.turn_since < 1.0

    assert 0.0 == await asyncio.to_thread(_seen_asleep, row)


def _seen_asleep(row):
    deadline = monotonic() + LIMIT
    while row.turn_since and monotonic() < deadline:
        threading.Event().wait(0.001)
    return row.turn_since
