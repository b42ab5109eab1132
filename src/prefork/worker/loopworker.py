"""A worker with an event loop, from the loop's start to its end."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

from prefork import wire
from prefork.handlers import Handler
from prefork.scoreboard import W_TURN_SINCE, Scoreboard
from prefork.worker.aio import Connections, Terms
from prefork.worker.channel import Channel
from prefork.worker.identity import raise_descriptor_limit
from prefork.worker.loopgate import LoopGate
from prefork.worker.loops import loop_factory
from prefork.worker.plan import Plan
from prefork.worker.siblings import Siblings
from prefork.worker.tally import LoopTally
from prefork.worker.tasks import dump_tasks_too

#: Descriptors of a worker besides its connections: its own, and some for the handlers.
DESCRIPTORS: Final = 256


@dataclass(frozen=True, slots=True)
class LoopWorker:
    """What serves connections in an event loop."""

    plan: Plan
    slot: int
    channel: Channel
    listeners: Sequence[socket.socket]
    board: Scoreboard
    dump: int  #: descriptor of the file for the stacks

    def run(self, handler: Handler, ready: wire.Ready) -> int:
        """Serve until it is time to leave and every connection has ended; return the status.

        Raises HandlerError when the loop that the settings ask for is not there.
        """
        settings = self.plan.settings
        row = self.board.row(self.slot)
        factory = loop_factory(settings.loop, row, settings.timeout)
        raise_descriptor_limit(settings.concurrency + DESCRIPTORS)
        for listener in self.listeners:
            # The flag belongs to the socket, which all workers share; they are all of one kind.
            listener.setblocking(False)
        service = Service(self)
        try:
            with asyncio.Runner(loop_factory=factory) as runner:
                try:
                    runner.run(service.serve(handler, ready))
                finally:
                    service.over = True  # what is cancelled from now on shall end
        finally:
            row.clock[W_TURN_SINCE] = 0.0
        return 0


class Service:
    """What runs in the loop, to its end."""

    def __init__(self, worker: LoopWorker) -> None:
        self.over = False  #: the loop has been ended
        self._worker = worker

    async def serve(self, handler: Handler, ready: wire.Ready) -> None:
        """Serve until it is time to leave and every connection has ended."""
        worker, settings = self._worker, self._worker.plan.settings
        loop = asyncio.get_running_loop()
        dump_tasks_too(loop, worker.dump)
        tally = LoopTally(worker.board.row(worker.slot))
        siblings = Siblings(worker.board, worker.slot)
        gate = LoopGate(loop, worker.listeners, worker.channel, siblings, tally)
        terms = Terms(settings.timeout, lambda: self.over)
        connections = Connections(handler, tally, gate, terms)
        gate.open(connections.take, settings.concurrency)
        worker.channel.tell(ready)
        await self._outlast(lambda: asyncio.wait([gate.left]))
        await self._outlast(connections.finished)
        gate.close()

    async def _outlast(self, wait: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Wait, even if the user's code cancels every task there is: ours are none of them."""
        while True:
            try:
                await wait()
            except asyncio.CancelledError:
                if self.over:
                    raise
            else:
                return
