"""Serves handlers of the kinds ``asyncio`` and ``protocol``: many connections in an event loop."""

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from prefork.errors import HandlerError
from prefork.kinds.targets import Handler
from prefork.logs import log
from prefork.sockets.listeners import peer_text
from prefork.worker.counters import LoopCounters
from prefork.worker.loop.protocol_hooks import Ends, observe

#: Where asyncio's loop for Windows, at the end of a connection that the client has reset, raises
#: what nobody can be told any more: the protocol has heard of the end.
_GONE: Final = "_ProactorBasePipeTransport._call_connection_lost"

#: Windows takes all that is written at once, and tells of its end.
_SEES_PROGRESS: Final = sys.platform != "win32"
#: Bytes that a client has to read within ``timeout`` where its progress cannot be seen.
_AT_LEAST: Final = 1 << 20

#: One connection, counted by its token, to its end; returns whether the handler failed.
Serve = Callable[[socket.socket, int], Awaitable[bool]]


class AnyLoopGate(Protocol):
    """What lets the connections in, and hears what becomes of them."""

    def settled(self, token: int) -> None:
        """Note that a connection has had its first turn."""

    def finished(self, token: int) -> None:
        """Note that a connection has ended: there is room for another."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms connections are served."""

    timeout: float  #: seconds that a client may read nothing, once its handler has returned
    is_over: Callable[[], bool]  #: whether the loop has been ended, and who is cancelled shall end


class Connections:
    """The connections of a worker, each in a task of its own."""

    def __init__(
        self, handler: Handler, counters: LoopCounters, gate: AnyLoopGate, terms: Terms
    ) -> None:
        self._target = handler.target
        self._counters = counters
        self._gate = gate
        self._patience = terms.timeout or None
        self._is_over = terms.is_over
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: dict[int, bool] = {}  # by the id of each live protocol
        self._serve: Serve = self._stream if handler.kind == "asyncio" else self._protocol
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._on_error)

    def take(self, connection: socket.socket, address: object) -> int:
        """Serve ``connection``, counted from now on by the token that is returned."""
        token = self._counters.begin(address)
        task = self._loop.create_task(self._run(connection, address, token))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return token

    async def finished(self) -> None:
        """Wait until the last connection is served."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self, connection: socket.socket, address: object, token: int) -> None:
        failed = True
        try:
            failed = await self._serve(connection, token)
        except BaseException as error:  # noqa: BLE001 (also SystemExit must not end the worker)
            if not self._is_over():
                fields = {"pid": os.getpid(), "peer": peer_text(address)}
                log.current().exception("handler failed", error, **fields)
        finally:
            self._counters.end(token, failed=failed)
            self._gate.finished(token)

    async def _connected(
        self, connection: socket.socket, protocol: asyncio.BaseProtocol, token: int
    ) -> asyncio.Transport:
        try:
            transport, _ = await self._loop.connect_accepted_socket(lambda: protocol, connection)
        except BaseException:
            connection.close()  # no transport has taken it over
            raise
        # What the client has sent by now is read in this turn, and handled in the next.
        self._loop.call_soon(self._gate.settled, token)
        return transport

    async def _stream(self, connection: socket.socket, token: int) -> bool:
        loop = self._loop
        reader = asyncio.StreamReader(loop=loop)
        made: asyncio.Future[asyncio.StreamWriter] = loop.create_future()
        # With a callback, as start_server's protocol has one: then start_tls knows its side.
        protocol = asyncio.StreamReaderProtocol(reader, lambda _, w: made.set_result(w), loop=loop)
        transport = await self._connected(connection, protocol, token)
        writer = made.result()
        try:
            await self._target(reader, writer)
        finally:
            writer.close()
            if writer.transport is not transport or transport.get_write_buffer_size():
                await self._flushed(writer)
        return False

    async def _flushed(self, writer: asyncio.StreamWriter) -> None:
        """Wait until the client has read what the handler has written.

        A client that reads nothing within ``timeout`` is left: nobody else would ever end it.
        """
        transport = writer.transport
        left = transport.get_write_buffer_size()
        patience = self._patience
        if patience is not None and not _SEES_PROGRESS:
            patience *= max(left // _AT_LEAST, 1)
        # Not by asyncio.timeout: to cancel the waiting cancels what is waited for.
        closed = asyncio.ensure_future(writer.wait_closed())
        while not (await asyncio.wait([closed], timeout=patience))[0]:
            before, left = left, transport.get_write_buffer_size()
            if left >= before:
                transport.abort()
        with suppress(OSError, asyncio.CancelledError):  # the client is gone
            closed.result()

    async def _protocol(self, connection: socket.socket, token: int) -> bool:
        protocol = self._target()
        if not isinstance(protocol, asyncio.BaseProtocol):
            raise HandlerError(f"the handler returned {protocol!r}, which is no asyncio.Protocol")
        if id(protocol) in self._failed:
            raise HandlerError(f"the handler returned {protocol!r} again, which serves another")
        ended = asyncio.Event()
        self._failed[id(protocol)] = False
        try:
            observe(protocol, Ends(lambda error: self._fail(protocol, token, error), ended.set))
            await self._connected(connection, protocol, token)
            while not ended.is_set():
                try:
                    await ended.wait()
                except asyncio.CancelledError:
                    if self._is_over():
                        raise
                    # The user's code cancels every task there is: this one is none of them.
        finally:
            failed = self._failed.pop(id(protocol))
        return failed

    def _fail(self, protocol: asyncio.BaseProtocol, token: int, error: BaseException) -> None:
        self._failed[id(protocol)] = True
        fields = {"pid": os.getpid(), "peer": self._counters.peer(token)}
        log.current().exception("handler failed", error, **fields)

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
        if id(protocol) in self._failed:
            self._failed[id(protocol)] = True
        address = transport.get_extra_info("peername") if transport is not None else None
        fields = {"pid": os.getpid(), "peer": peer_text(address), "reason": reason}
        log.current().exception("handler failed", error, **fields)
