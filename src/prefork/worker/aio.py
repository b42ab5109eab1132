"""Serves handlers of the kinds ``asyncio`` and ``protocol``: many connections in an event loop."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from prefork import log
from prefork.errors import HandlerError
from prefork.handlers import Handler
from prefork.listeners import peer_text
from prefork.worker.ends import Ends, observe
from prefork.worker.loopgate import LoopGate
from prefork.worker.tally import LoopTally

#: One connection, counted by its token, to its end; returns whether the handler failed.
Serve = Callable[[socket.socket, int], Awaitable[bool]]


class Connections:
    """The connections of a worker, each in a task of its own."""

    def __init__(self, handler: Handler, tally: LoopTally, gate: LoopGate) -> None:
        self._target = handler.target
        self._tally = tally
        self._gate = gate
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: dict[int, bool] = {}  # by the id of each live protocol
        self._serve: Serve = self._stream if handler.kind == "asyncio" else self._protocol
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._on_error)

    def take(self, connection: socket.socket, address: object) -> int:
        """Serve ``connection``, counted from now on by the token that is returned."""
        token = self._tally.begin(address)
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
            connection.close()  # unless a transport has taken it over, and closed it
            fields = {"pid": os.getpid(), "peer": peer_text(address)}
            log.current().exception("handler failed", error, **fields)
        finally:
            self._tally.end(token, failed=failed)
            self._gate.finished(token)

    async def _stream(self, connection: socket.socket, token: int) -> bool:
        loop = self._loop
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection)
        # What the client has sent by now is read in this turn, and handled in the next.
        loop.call_soon(self._gate.settled, token)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            await self._target(reader, writer)
        finally:
            writer.close()
            if writer.transport is not transport or transport.get_write_buffer_size():
                # What the handler has written is still on its way; the client may be gone.
                with suppress(OSError):
                    await writer.wait_closed()
        return False

    async def _protocol(self, connection: socket.socket, token: int) -> bool:
        protocol = self._target()
        if not isinstance(protocol, asyncio.BaseProtocol):
            raise HandlerError(f"the handler returned {protocol!r}, which is no asyncio.Protocol")
        ended = asyncio.Event()
        self._failed[id(protocol)] = False
        observe(protocol, Ends(lambda error: self._refused(protocol, token, error), ended.set))
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, connection)
            self._loop.call_soon(self._gate.settled, token)
            await ended.wait()
        finally:
            failed = self._failed.pop(id(protocol))
        return failed

    def _refused(self, protocol: asyncio.BaseProtocol, token: int, error: Exception) -> None:
        self._failed[id(protocol)] = True
        fields = {"pid": os.getpid(), "peer": self._tally.peer(token)}
        log.current().exception("handler failed", error, **fields)

    def _on_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log what a callback raised, of a protocol or of anything else in the loop."""
        del loop
        reason = context["message"]
        error = context.get("exception") or RuntimeError(reason)
        protocol, transport = context.get("protocol"), context.get("transport")
        if protocol is None:
            log.current().exception("event loop error", error, pid=os.getpid(), reason=reason)
            return
        if id(protocol) in self._failed:
            self._failed[id(protocol)] = True
        address = transport.get_extra_info("peername") if transport is not None else None
        fields = {"pid": os.getpid(), "peer": peer_text(address), "reason": reason}
        log.current().exception("handler failed", error, **fields)
