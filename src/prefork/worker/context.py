"""What a handler of the kind ``program`` is given: it accepts for itself."""

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from prefork.logs import log
from prefork.worker.accept.gate import Gate
from prefork.worker.channel import Channel
from prefork.worker.connection import Connections


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextParts:
    """What a context works with."""

    channel: Channel
    gate: Gate
    connections: Connections
    report_ready: Callable[[], None]  #: send the arbiter that the program is ready


class WorkerContext:
    """A worker, as seen by the user's ``run(worker)``.

    ``run`` prepares what it needs, calls ``ready()``, and serves until ``stopping``: by a loop
    over ``accept()``, or by waiting for ``listeners`` itself.  It returns when it has finished.
    """

    def __init__(
        self,
        *,
        slot: int,
        generation: int,
        listeners: Sequence[socket.socket],
        parts: ContextParts,
    ) -> None:
        self.slot = slot  #: this worker's place in the pool
        self.generation = generation  #: rises with each reload
        self.listeners = tuple(listeners)  #: the shared sockets, in the order of ``bind``
        self.log = log.current()  #: writes events to the server's log
        self._parts = parts
        self._channel = parts.channel
        self._is_ready = False

    def ready(self) -> None:
        """Report that this worker is ready to serve; it counts as capacity from then on."""
        if not self._is_ready:
            self._is_ready = True
            self._parts.report_ready()

    @property
    def stopping(self) -> bool:
        """Whether this worker has been asked to finish what it holds and return."""
        if not self._channel.leaving:
            self._channel.read()
        return self._channel.leaving

    def accept(self) -> Iterator[Any]:
        """Yield one connection, or datagram, after another, taking turns with the other workers.

        A connection is in progress, and this worker busy, until the loop asks for the next; it
        is then closed.  Ends when it is time to leave.  Calls ``ready()`` if that was not done.
        """
        self.ready()
        yield from self._parts.connections.taken_from(self._parts.gate)
