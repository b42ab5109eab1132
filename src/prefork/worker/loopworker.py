"""A worker with an event loop, from the loop's start to its end."""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from prefork import wire
from prefork.handlers import Handler
from prefork.scoreboard import W_TURN_SINCE, Scoreboard
from prefork.worker.aio import Connections
from prefork.worker.channel import Channel
from prefork.worker.loopgate import LoopGate
from prefork.worker.loops import loop_factory
from prefork.worker.plan import Plan
from prefork.worker.siblings import Siblings
from prefork.worker.tally import LoopTally
from prefork.worker.tasks import dump_tasks_too


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
        for listener in self.listeners:
            # The flag belongs to the socket, which all workers share; they are all of one kind.
            listener.setblocking(False)
        try:
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(self._serve(handler, ready))
        finally:
            row.clock[W_TURN_SINCE] = 0.0
        return 0

    async def _serve(self, handler: Handler, ready: wire.Ready) -> None:
        loop = asyncio.get_running_loop()
        dump_tasks_too(loop, self.dump)
        tally = LoopTally(self.board.row(self.slot))
        siblings = Siblings(self.board, self.slot)
        gate = LoopGate(loop, self.listeners, self.channel, siblings, tally)
        connections = Connections(handler, tally, gate)
        gate.open(connections.take, self.plan.settings.concurrency)
        self.channel.tell(ready)
        await gate.left
        await connections.finished()
        gate.close()
