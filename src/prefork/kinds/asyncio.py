"""The kind ``asyncio``: a coroutine function is called with each connection's streams."""

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from prefork.kinds import HERE
from prefork.kinds.base import IN_A_LOOP, IN_A_THREAD, Handler, Kind, LoopConnection, Shape, Worker
from prefork.kinds.event_loop.choice import check_loop

if TYPE_CHECKING:
    import asyncio

#: Windows takes all that is written at once, and reports only its end.
_SEES_PROGRESS: Final = HERE != "win32"
#: Bytes that a client has to read within ``timeout`` where its progress cannot be seen.
_AT_LEAST: Final = 1 << 20


def serve(worker: Worker, handler: Handler) -> int:
    """Call the handler with the streams of many connections at once."""
    # Only here: who only asks for the kind's name needs no event loop.
    import asyncio

    handle = handler.target

    async def converse(connection: LoopConnection) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        made: asyncio.Future[asyncio.StreamWriter] = loop.create_future()
        # With a callback, as start_server's protocol has one: then start_tls knows its side.
        protocol = asyncio.StreamReaderProtocol(reader, lambda _, w: made.set_result(w), loop=loop)
        transport = await connection.connect(protocol)
        writer = made.result()
        try:
            await handle(reader, writer)
        finally:
            writer.close()
            if writer.transport is not transport or transport.get_write_buffer_size():
                await _flushed(writer, connection.timeout)

    return worker.serve_in_loop(converse)


async def _flushed(writer: "asyncio.StreamWriter", timeout: float | None) -> None:
    """Wait until the client has read what the handler has written.

    A client that reads nothing within ``timeout`` is left: nothing else would ever end the wait.
    """
    import asyncio

    transport = writer.transport
    left = transport.get_write_buffer_size()
    if timeout is not None and not _SEES_PROGRESS:
        timeout *= max(left // _AT_LEAST, 1)
    # Not by asyncio.timeout: to cancel the waiting cancels what is waited for.
    closed = asyncio.ensure_future(writer.wait_closed())
    while not (await asyncio.wait([closed], timeout=timeout))[0]:
        before, left = left, transport.get_write_buffer_size()
        if left >= before:
            transport.abort()
    with suppress(OSError, asyncio.CancelledError):  # the client is gone
        closed.result()


def _matches(shape: Shape) -> bool:
    return shape.is_coroutine_function


KIND = Kind(
    name="asyncio",
    serve=serve,
    example="async handle(reader, writer)",
    arguments=("reader", "writer"),
    matches=_matches,
    order=30,
    coroutine=True,
    event_loop=True,
    capacity="concurrency",
    accepts=IN_A_LOOP,
    accepts_on_windows=IN_A_THREAD,
    check=check_loop,
)
