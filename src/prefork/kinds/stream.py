"""The kind ``stream``: a function is called with each connection."""

from prefork.kinds.base import Handler, Kind, Shape, Worker


def serve(worker: Worker, handler: Handler) -> int:
    """Call the handler with one connection after another."""
    return worker.serve_each(handler.target)


def _matches(shape: Shape) -> bool:
    # A second argument with a default makes no program of it: handle(connection, address=None).
    return shape.takes(2)


KIND = Kind(
    name="stream",
    serve=serve,
    example="handle(connection, address)",
    arguments=("connection", "address"),
    matches=_matches,
    order=40,
)
