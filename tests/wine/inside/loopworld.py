"""Workers with event loops, all in one process and one loop, and what tests need of them."""

import asyncio
import functools
import socket
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from prefork.ipc.scoreboard import Scoreboard
from prefork.platform.windows.api import Event, Mutex
from prefork.platform.windows.files import memory_file
from prefork.worker.accept.peers import Peers
from prefork.worker.accept.windows_loop import SharingGate, WindowsLoopGate
from prefork.worker.connection import Connections
from prefork.worker.counters import LoopCounters
from prefork.worker.loop.connections import LoopConnections
from prefork.worker.loop.windows_loops import loop_factory

LIMIT = 10  #: seconds that anything may take
LOOPS_ROW = 99  #: of the loop that all workers here share; their own rows tell what a test likes


@pytest.fixture(params=["proactor", "selector"])
def world(request):
    """
    In each of the loops that Windows has.
    """
    with ExitStack() as stack:
        yield World(stack, request.param)


def in_loop(test):
    """Run the coroutine function ``test`` in the loop of its world."""

    @functools.wraps(test)
    def run(world, **given):
        factory = loop_factory(settings(world.loop), world.scoreboard.row(LOOPS_ROW))
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(world.outlast(test(world, **given)))

    return run


def settings(loop, concurrency=100):
    return SimpleNamespace(loop=loop, concurrency=concurrency, timeout=30.0)


class World:
    """A listener, the scoreboard, and workers, all in one process."""

    def __init__(self, stack, loop):
        self.stack = stack
        self.loop = loop
        self.scoreboard = Scoreboard.create(memory_file("board"))
        self.mutex = stack.enter_context(Mutex.create())
        self.listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.workers = []

    async def outlast(self, test):
        try:
            await asyncio.wait_for(test, LIMIT)
        finally:
            for worker in self.workers:
                await worker.leave()

    def worker(self, **given):
        worker = Worker(self, len(self.workers), **given)
        self.workers.append(worker)
        return worker

    def client(self):
        address = self.listener.getsockname()
        return self.stack.enter_context(socket.create_connection(address, LIMIT))


class CountingGate(SharingGate):
    accepted = 0

    def accept(self):
        accepted = super().accept()
        self.accepted += accepted is not None
        return accepted


class Worker:
    """A gate, and what it has let in."""

    def __init__(self, world, slot, limit=100, holds=0, handler=None):
        self.stack = world.stack
        self.stop = world.stack.enter_context(Event.create())
        self.row = world.scoreboard.row(slot)
        self.counters = LoopCounters(self.row)
        self.taken, self.tokens = [], [self.counters.begin(None) for _ in range(holds)]
        world.scoreboard.header.used_slots = slot + 1
        world.scoreboard.record(slot).state = "ready"
        self.counting = CountingGate([world.listener], self.stop, world.mutex)
        channel: Any = SimpleNamespace(leaving=False)
        peers = Peers(world.scoreboard, slot)
        loop = asyncio.get_running_loop()
        self.gate = WindowsLoopGate(loop, self.counting, channel, peers, self.counters)
        take = self.take
        if handler is not None:
            handler.kind.serve(self, handler)
            self.connections = LoopConnections(
                self.converse, Connections(self.counters), self.gate, 30.0, lambda: False
            )
            take = self.connections.take
        self.gate.open(take, limit)

    def serve_in_loop(self, converse):
        self.converse = converse
        return 0

    def take(self, connection, address):
        self.stack.enter_context(connection)
        self.taken.append(address)
        self.tokens.append(self.counters.begin(address))
        return self.tokens[-1]

    def settle(self):
        self.gate.settled(self.tokens[-1])

    def finish(self):
        token = self.tokens.pop(0)
        self.counters.end(token, failed=False)
        self.gate.finished(token)

    async def leave(self):
        self.stop.set()
        while self.tokens:
            self.finish()
        await asyncio.wait([self.gate.left])
        self.gate.close()


async def until(condition):
    """Wait until ``condition()`` holds."""
    while not condition():
        await asyncio.sleep(0.001)


async def for_a_while():
    """Wait as long as anything would take that is not to happen."""
    await asyncio.sleep(0.1)
