"""The connections of a worker with an event loop: each in a task of its own, whatever its kind."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from prefork.errors import HandlerError
from prefork.kinds.base import LoopConnection
from prefork.logs import log
from prefork.sockets.listeners import peer_text
from prefork.worker.connection import Connections, report_failure

#: Where asyncio's loop for Windows, at the end of a connection that the client has reset, raises
#: an error that is of no use any more: the protocol knows of the end.
_GONE: Final = "_ProactorBasePipeTransport._call_connection_lost"

#: A kind's function: one connection, to its end.
Converse = Callable[[LoopConnection], Awaitable[object]]


class AnyLoopGate(Protocol):
    """What accepts the connections, and has to know what becomes of them."""

    def settled(self, key: int) -> None:
        """Note that a connection has had its first turn."""

    def finished(self, key: int) -> None:
        """Note that a connection has ended: there is room for another."""


class LoopConnections:
    """All connections of the loop."""

    def __init__(
        self,
        converse: Converse,
        connections: Connections,
        gate: AnyLoopGate,
        timeout: float | None,
        is_over: Callable[[], bool],
    ) -> None:
        """``is_over`` returns whether the loop has been ended: then a cancelled task shall end."""
        self.gate = gate
        self.timeout = timeout
        self.is_over = is_over
        self.by_protocol: dict[int, _Connection] = {}  #: by the id of each live protocol
        self.loop = asyncio.get_running_loop()
        self._converse = converse
        self._connections = connections
        self._tasks: set[asyncio.Task[None]] = set()
        self.loop.set_exception_handler(self._on_error)

    def take(self, accepted: socket.socket, address: object) -> int:
        """Serve ``accepted``, counted from now on by the key that is returned."""
        accepted.setblocking(False)
        key = self._connections.begin(address)
        connection = _Connection(self, accepted, address, key)
        task = self.loop.create_task(self._run(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return key

    @property
    def prepares(self) -> bool:
        """Whether connections are prepared before they are served."""
        return self._connections.has_steps

    async def finished(self) -> None:
        """Wait until the last connection is served."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self, connection: "_Connection") -> None:
        try:
            if self.prepares:
                # Here, not in ``connect``: who is slow at this keeps nobody from the next one.
                self.loop.call_soon(self.gate.settled, connection.key)
                connection.socket = await self._connections.prepared_in_loop(
                    connection.socket, connection.address
                )
            await self._converse(connection)
        except BaseException as error:  # noqa: BLE001 (also SystemExit must not end the worker)
            connection.failed = True
            if not self.is_over():
                report_failure(error, connection.address)
        finally:
            if not connection.is_handed_over:
                connection.socket.close()
            if connection.protocol is not None:
                del self.by_protocol[id(connection.protocol)]
            self._connections.end(connection.key, failed=connection.failed)
            self.gate.finished(connection.key)

    def _on_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log what a callback raised, of a protocol or of anything else in the loop."""
        del loop
        reason = context["message"]
        error = context.get("exception") or RuntimeError(reason)
        protocol, transport = context.get("protocol"), context.get("transport")
        if protocol is None:
            if isinstance(error, ConnectionError) and _GONE in reason:
                return  # the client's reset, while a lost connection was put away
            log.current().exception("event loop error", error, pid=os.getpid(), reason=reason)
            return
        if (connection := self.by_protocol.get(id(protocol))) is not None:
            connection.failed = True
        address = transport.get_extra_info("peername") if transport is not None else None
        fields = {"pid": os.getpid(), "peer": peer_text(address), "reason": reason}
        log.current().exception("handler failed", error, **fields)


class _Connection:
    """One connection, as its kind's function gets it; see ``kinds.base.LoopConnection``."""

    __slots__ = (
        *("_all", "address", "failed", "is_handed_over", "key", "protocol", "socket", "timeout"),
    )

    def __init__(
        self, connections: LoopConnections, accepted: socket.socket, address: object, key: int
    ) -> None:
        self.socket = accepted
        self.address = address
        self.key = key  #: by which it is counted
        self.timeout = connections.timeout
        self.failed = False
        self.is_handed_over = False  #: a transport will close it
        self.protocol: asyncio.BaseProtocol | None = None  #: whose failures are its failures
        self._all = connections

    async def connect(self, protocol: asyncio.BaseProtocol) -> asyncio.Transport:
        """Have ``protocol`` serve the connection from now on."""
        loop, gate = self._all.loop, self._all.gate
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, self.socket)
        self.is_handed_over = True
        if not self._all.prepares:
            # What the client has sent by now is read in this turn, and handled in the next.
            loop.call_soon(gate.settled, self.key)
        return transport

    def served_by(self, protocol: asyncio.BaseProtocol) -> None:
        """Count what the loop reports of ``protocol`` from now on as this connection's failure."""
        by_protocol = self._all.by_protocol
        if id(protocol) in by_protocol:
            raise HandlerError(f"the handler returned {protocol!r} again, which serves another")
        by_protocol[id(protocol)] = self
        self.protocol = protocol

    def fail(self, error: BaseException) -> None:
        """Log ``error``, and count this connection as failed."""
        self.failed = True
        report_failure(error, self.address)

    def is_over(self) -> bool:
        """Return whether the loop has been ended: a task that is cancelled then shall end."""
        return self._all.is_over()
