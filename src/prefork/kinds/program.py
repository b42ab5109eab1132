"""The kind ``program``: a function is called once, and accepts for itself."""

from prefork.kinds.base import Handler, Kind, Shape, Worker


def serve(worker: Worker, handler: Handler) -> int:
    """Run the program until it returns."""
    return worker.run_program(handler.target)


def _matches(shape: Shape) -> bool:
    return shape.takes(1) and shape.required == 1


KIND = Kind(
    name="program",
    serve=serve,
    example="run(worker)",
    arguments=("worker",),
    matches=_matches,
    order=50,
    serves=("connections", "datagrams"),
)
