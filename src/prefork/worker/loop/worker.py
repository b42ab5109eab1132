"""A worker with an event loop, from the loop's start to its end."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

from prefork.ipc import messages
from prefork.kinds.targets import Handler
from prefork.worker.counters import LoopCounters
from prefork.worker.loop.connections import Connections, Terms
from prefork.worker.loop.loops import loop_factory

if sys.platform == "win32":
    from prefork.worker.loop.tasks import write_tasks
    from prefork.worker.windows import Station
else:
    from prefork.worker.environment import raise_descriptor_limit
    from prefork.worker.loop.tasks import dump_tasks_too
    from prefork.worker.posix import Station

#: Descriptors of a worker besides its connections: its own, and some for the handlers.
DESCRIPTORS: Final = 256


class LoopWorker:
    """What serves connections in an event loop."""

    def __init__(self, station: Station) -> None:
        self._station = station

    def run(self, handler: Handler, ready: messages.Ready) -> int:
        """Serve until it is time to leave and every connection has ended; return the status.

        Raises HandlerError when the loop that the settings ask for is not there.
        """
        station, settings = self._station, self._station.plan.settings
        factory = loop_factory(settings, station.row)
        if sys.platform != "win32":
            raise_descriptor_limit(settings.concurrency + DESCRIPTORS)
            for listener in station.listeners:
                # The flag belongs to the socket, which all workers share; all are of one kind.
                listener.setblocking(False)
        service = Service(station)
        try:
            with asyncio.Runner(loop_factory=factory) as runner:
                try:
                    runner.run(service.serve(handler, ready))
                finally:
                    service.over = True  # what is cancelled from now on shall end
        finally:
            station.row.turn_since = 0.0
        return 0


class Service:
    """What runs in the loop, to its end."""

    def __init__(self, station: Station) -> None:
        self.over = False  #: the loop has been ended
        self._station = station

    async def serve(self, handler: Handler, ready: messages.Ready) -> None:
        """Serve until it is time to leave and every connection has ended."""
        station, settings = self._station, self._station.plan.settings
        loop = asyncio.get_running_loop()
        if sys.platform == "win32":
            station.channel.when_asked_for_tasks = lambda: write_tasks(loop, station.dump)
        else:
            dump_tasks_too(loop, station.dump)
        counters = LoopCounters(station.row)
        gate = station.loop_gate(loop, counters)
        terms = Terms(settings.timeout, lambda: self.over)
        connections = Connections(handler, counters, gate, terms)
        gate.open(connections.take, settings.concurrency)
        station.channel.tell(ready)
        await self._outlast(lambda: asyncio.wait([gate.left]))
        gate.left.result()  # raises what has made it impossible to take any more
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
