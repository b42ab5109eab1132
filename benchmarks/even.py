"""How evenly idle workers share connections that come one after the other."""

import select
import socket
from collections import Counter

from benchmarks.report import Measure, Options, at_most
from benchmarks.servers import Prefork

WORKERS = 6
CONNECTIONS = 300
APART = 0.001  #: seconds

#: Flags, and the most that busiest / mean may be; None where nothing is promised.
MODES: dict[str, tuple[tuple[str, ...], float | None]] = {
    "auto": (("--accept", "auto"), 1.1),
    "blocking": (("--accept", "blocking"), 1.1),
    "exclusive": (("--accept", "exclusive"), None),
    "mutex, flock": (("--accept", "mutex", "--accept-mutex", "flock"), 1.25),
    "mutex, fcntl": (("--accept", "mutex", "--accept-mutex", "fcntl"), 1.25),
}


def run(options: Options) -> list[Measure]:
    """Count who serves each of a series of connections."""
    del options
    return [_measure(name, flags, limit) for name, (flags, limit) in MODES.items()]


def _measure(name: str, flags: tuple[str, ...], limit: float | None) -> Measure:
    with Prefork("greet", str(WORKERS), *flags) as server:
        server.until_workers(WORKERS)
        served = Counter(_ask(server.port) for _ in range(CONNECTIONS))
    counts = sorted(served.values(), reverse=True)
    ratio = counts[0] / (CONNECTIONS / WORKERS)
    what, note = f"accept {name}: busiest / mean", f" {counts}"
    if limit is None:
        return Measure(what, f"{ratio:.3g}{note}")
    return at_most(what, ratio, limit, note=note)


def _ask(port: int) -> int:
    """Return the process id of the worker that serves a new connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        pid = int(client.recv(16))
    select.select([], [], [], APART)
    return pid
