"""The kind ``command``: programs in any language, which ``prefork exec`` starts as workers.

A program takes connections in its own way; ``worker.launcher`` becomes it, or on Windows the
arbiter starts it itself, so none of our workers ever serves one.
"""

from typing import Never

from prefork.kinds.base import Handler, Kind, Shape, Worker


def serve(worker: Worker, handler: Handler) -> Never:
    """Fail: a program serves itself."""
    raise AssertionError(f"{handler.name} is a program; no worker of ours serves it ({worker})")


def _matches(shape: Shape) -> bool:
    del shape
    return False


KIND = Kind(
    name="command",
    serve=serve,
    example="prefork exec -- PROGRAM",
    arguments=(),
    matches=_matches,
    order=1000,
    serves=("connections", "datagrams"),
    capacity="concurrency",
    foreign_programs=True,
    accepts=("program",),
    accepts_on_windows=("program",),
)
