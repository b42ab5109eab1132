"""The kind ``datagram``: a function is called with each datagram, and a way to answer it."""

from collections.abc import Callable
from typing import Any

from prefork.kinds.base import Datagram, Handler, Kind, Shape, Worker


def serve(worker: Worker, handler: Handler) -> int:
    """Call the handler with one datagram after another."""
    return worker.serve_each(datagram_handler(handler.target))


def datagram_handler(
    handler: Callable[[bytes, Any, Callable[[bytes], None]], object],
) -> Callable[[Datagram, Any], object]:
    """Return ``handler(data, address, reply)`` as a function of what a worker takes."""

    def handle(datagram: Datagram, address: Any) -> object:
        return handler(datagram.data, address, datagram.reply)

    return handle


def _matches(shape: Shape) -> bool:
    return shape.takes(3)


KIND = Kind(
    name="datagram",
    serve=serve,
    example="handle(data, address, reply)",
    arguments=("data", "address", "reply"),
    matches=_matches,
    order=60,
    serves=("datagrams",),
    unit="datagram",
)
