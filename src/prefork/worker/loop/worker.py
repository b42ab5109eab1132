"""A worker with an event loop, from the loop's start to its end."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from prefork.worker.connection import Connections
from prefork.worker.counters import LoopCounters
from prefork.worker.loop.connections import Converse, LoopConnections
from prefork.worker.resources import Resources


def serve_in_loop(
    resources: Resources,
    converse: Converse,
    counters: LoopCounters,
    connections: Connections,
    report_ready: Callable[[], None],
) -> int:
    """Serve until it is time to leave and every connection has ended; return the exit status.

    Raises HandlerError when the loop that the settings ask for is not there.
    """
    factory = resources.loop_factory()
    resources.prepare_for_loop()
    service = _Service(resources, counters, connections)
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            try:
                runner.run(service.serve(converse, report_ready))
            finally:
                service.over = True  # what is cancelled from now on shall end
    finally:
        resources.row.turn_since = 0.0
    return 0


class _Service:
    """What runs in the loop, to its end."""

    def __init__(
        self, resources: Resources, counters: LoopCounters, connections: Connections
    ) -> None:
        self.over = False  #: the loop has been ended
        self._resources = resources
        self._counters = counters
        self._connections = connections

    async def serve(self, converse: Converse, report_ready: Callable[[], None]) -> None:
        """Serve until it is time to leave and every connection has ended."""
        resources, settings = self._resources, self._resources.plan.settings
        loop = asyncio.get_running_loop()
        resources.dump_tasks_too(loop)
        gate = resources.loop_gate(loop, self._counters)
        connections = LoopConnections(
            converse, self._connections, gate, settings.timeout or None, lambda: self.over
        )
        gate.open(connections.take, settings.concurrency)
        report_ready()
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
