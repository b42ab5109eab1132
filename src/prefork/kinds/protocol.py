"""The kind ``protocol``: classes of asyncio protocols, or functions that return such objects."""

from prefork.errors import HandlerError
from prefork.kinds.base import (
    IN_A_LOOP,
    IN_A_THREAD,
    Handler,
    Kind,
    KindSettings,
    LoopConnection,
    Shape,
    Worker,
)
from prefork.kinds.event_loop.choice import check_loop


def serve(worker: Worker, handler: Handler) -> int:
    """Have a protocol of its own serve each of many connections at once."""
    # Only here: who only asks for the kind's name needs no event loop.
    import asyncio

    from prefork.kinds.event_loop.protocol_hooks import Hooks, observe

    make = handler.target

    async def converse(connection: LoopConnection) -> None:
        protocol = make()
        if not isinstance(protocol, asyncio.BaseProtocol):
            raise HandlerError(f"the handler returned {protocol!r}, which is no asyncio.Protocol")
        ended = asyncio.Event()
        connection.served_by(protocol)
        observe(protocol, Hooks(connection.fail, ended.set))
        await connection.connect(protocol)
        while not ended.is_set():
            try:
                await ended.wait()
            except asyncio.CancelledError:
                if connection.is_over():
                    raise
                # The user's code cancels every task there is: this one is none of them.

    return worker.serve_in_loop(converse)


def _matches(shape: Shape) -> bool:
    return shape.derives_from("asyncio.protocols", "BaseProtocol")


def _claims(shape: Shape) -> str:
    return "an asyncio protocol" if _matches(shape) else ""


def _objection(shape: Shape) -> str:
    if shape.derives_from("asyncio.protocols", "DatagramProtocol"):
        return "it is one for datagrams, which handle(data, address, reply) serves"
    return ""


def _check(settings: KindSettings) -> None:
    # Now, before workers are forked, so that they share it.
    import prefork.kinds.event_loop.protocol_hooks  # noqa: F401

    check_loop(settings)


KIND = Kind(
    name="protocol",
    serve=serve,
    example="subclasses of asyncio.Protocol",
    arguments=(),
    matches=_matches,
    claims=_claims,
    objection=_objection,
    order=20,
    event_loop=True,
    capacity="concurrency",
    accepts=IN_A_LOOP,
    accepts_on_windows=IN_A_THREAD,
    check=_check,
)
