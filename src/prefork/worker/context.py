"""What a handler of the kind ``program`` is given: it accepts for itself."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from prefork.ipc import messages
from prefork.logs import log
from prefork.worker.accept.gate import Gate
from prefork.worker.counters import Counters


class Channel(Protocol):
    """How a worker speaks with its arbiter, on any system."""

    leaving: bool  #: take no more

    def attend(self) -> None:
        """Hear what the arbiter has said."""

    def tell(self, message: messages.Message) -> None:
        """Send ``message`` to the arbiter; lost when there is none any more."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a context works with."""

    channel: Channel
    gate: Gate
    counters: Counters
    ready: messages.Ready  #: what to say when the program is


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
        means: Means,
    ) -> None:
        self.slot = slot  #: this worker's place in the pool
        self.generation = generation  #: rises with each reload
        self.listeners = tuple(listeners)  #: the shared sockets, in the order of ``bind``
        self.log = log.current()  #: writes events to the server's log
        self._means = means
        self._channel = means.channel
        self._is_ready = False

    def ready(self) -> None:
        """Say that this worker is ready to serve; it counts as capacity from then on."""
        if not self._is_ready:
            self._is_ready = True
            self._channel.tell(self._means.ready)

    @property
    def stopping(self) -> bool:
        """Whether this worker has been asked to finish what it holds and return."""
        if not self._channel.leaving:
            self._channel.attend()
        return self._channel.leaving

    def accept(self) -> Iterator[Any]:
        """Yield one connection, or datagram, after another, taking turns with the other workers.

        A connection is in progress, and this worker busy, until the loop asks for the next; it
        is then closed.  Ends when it is time to leave.  Says ``ready()`` if nobody has.
        """
        self.ready()
        while (accepted := self._means.gate.accept()) is not None:
            connection, address = accepted
            token = self._means.counters.begin(address)
            try:
                yield connection
            finally:
                with suppress(OSError):  # the program may have closed the descriptor itself
                    connection.close()
                self._means.counters.end(token, failed=False)
