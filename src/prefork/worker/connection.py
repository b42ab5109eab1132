"""What happens to an accepted connection between accept and handler, and at its end.

The one place that every accepted connection of every kind goes through, and every datagram:
outside of accept mutex and gate, so whatever is done here keeps nobody else from accepting.
A connection is counted, prepared within a time of its own, handed to its handler, and closed
and counted again whatever happens.
"""

import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from prefork.logs import log
from prefork.sockets.listeners import peer_text
from prefork.worker.accept.gate import Gate
from prefork.worker.counters import Counters

#: Seconds within which a connection has to be ready for its handler.
PREPARATION_LIMIT: Final = 10.0

#: Called with a connection, or a datagram, and the client's address.
Function = Callable[[Any, Any], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One part of the preparation; returns the connection that takes the given one's place.

    Both functions get the moment, on the monotonic clock, by which they have to be done.
    """

    #: In a thread that may wait.  The first call that waits on the connection ends by TimeoutError
    #: then; a step that makes several sets its timeout to ``time_left`` before each.
    blocking: Callable[[socket.socket, float], socket.socket]
    #: In an event loop, with a connection that does not block: it is cancelled then.
    in_loop: Callable[[socket.socket, float], Awaitable[socket.socket]]


class NotPrepared(Exception):  # noqa: N818  (logged already; it only ends the connection)
    """A connection was given up before its handler was called."""


class Connections:
    """The connections of a worker, from accept to their end."""

    def __init__(
        self, counters: Counters, steps: Sequence[Step] = (), limit: float = PREPARATION_LIMIT
    ) -> None:
        #: Count a connection as accepted; return the key for all else that is done with it.
        self.begin = counters.begin
        #: Count a connection that is closed; an event loop closes it itself.
        self.end = counters.end
        self._steps = tuple(steps)
        self._limit = limit  #: seconds

    @property
    def has_steps(self) -> bool:
        """Whether there is anything to prepare."""
        return bool(self._steps)

    def serve(self, connection: Any, address: object, function: Function, key: int) -> None:
        """Call ``function`` with a connection, close it, count it; survive any exception."""
        failed = True
        try:
            if self._steps:
                connection = self._prepared(connection, address)
            function(connection, address)
            failed = False
        except BaseException as error:  # noqa: BLE001 (also SystemExit must not end the worker)
            report_failure(error, address)
        finally:
            _close(connection)
            self.end(key, failed=failed)

    def taken_from(self, gate: Gate) -> Iterator[Any]:
        """Yield one connection after another to who serves them; each ends with the next one."""
        while (accepted := gate.accept()) is not None:
            connection, address = accepted
            key = self.begin(address)
            failed = True
            try:
                if self._steps:
                    connection = self._prepared(connection, address)
                failed = False  # what becomes of it now, only its program knows
                yield connection
            except NotPrepared:
                continue
            finally:
                _close(connection)
                self.end(key, failed=failed)

    async def prepared_in_loop(self, connection: socket.socket, address: object) -> socket.socket:
        """Return ``connection`` ready for its handler in an event loop; raises NotPrepared."""
        # Only here: what has no loop has no need of it.
        import asyncio

        deadline = monotonic() + self._limit
        try:
            async with asyncio.timeout(self._limit):
                for step in self._steps:
                    connection = await step.in_loop(connection, deadline)
        except Exception as error:  # noqa: BLE001 (a step fails for one client, not for all)
            raise _given_up(connection, error, address) from None
        return connection

    def _prepared(self, connection: Any, address: object) -> Any:
        """Do the same in a thread that may wait."""
        if not isinstance(connection, socket.socket):
            return connection  # a datagram: there is nobody to talk to
        deadline = monotonic() + self._limit
        timeout = connection.gettimeout()
        try:
            for step in self._steps:
                connection.settimeout(time_left(deadline))
                connection = step.blocking(connection, deadline)
            connection.settimeout(timeout)
        except Exception as error:  # noqa: BLE001 (a step fails for one client, not for all)
            raise _given_up(connection, error, address) from None
        return connection


def time_left(deadline: float) -> float:
    """Return the seconds until ``deadline``; raises TimeoutError when it has passed."""
    if (left := deadline - monotonic()) > 0:
        return left
    raise TimeoutError


def report_failure(error: BaseException, address: object) -> None:
    """Log what a handler raised, unless the connection never came to its handler."""
    if not isinstance(error, NotPrepared):
        log.current().exception("handler failed", error, pid=os.getpid(), peer=peer_text(address))


def preparation_limit(timeout: float) -> float:
    """Return the seconds for a preparation where a worker is hung after ``timeout``; 0 is never."""
    # Well before: who does not come to an end is the client, and the worker is to live.
    return min(PREPARATION_LIMIT, timeout / 2) if timeout else PREPARATION_LIMIT


def _close(connection: Any) -> None:
    """Close ``connection``; its handler may have closed the descriptor itself."""
    # suppress() would take a fifth of all the time that a connection spends in this package.
    try:  # noqa: SIM105
        connection.close()
    except OSError:
        pass


def _given_up(connection: socket.socket, error: Exception, address: object) -> NotPrepared:
    """Close ``connection`` and log why; return what ends its way."""
    _close(connection)
    reason = "not ready in time" if isinstance(error, TimeoutError) else str(error) or repr(error)
    log.current().warning(
        "connection dropped", pid=os.getpid(), peer=peer_text(address), reason=reason
    )
    return NotPrepared()
