"""How soon a pool has grown when more clients come at once than it has workers."""

import select
import socket
from contextlib import ExitStack
from time import monotonic

from benchmarks.report import Measure, Options, at_most, spread
from benchmarks.servers import Prefork

CLIENTS = 8
TIMES = 5
LIMIT = 10.0  #: seconds to be served in


def run(options: Options) -> list[Measure]:
    """Hold eight connections at once, let go, wait for the pool to shrink; again."""
    del options
    waits, shrinking = [], []
    with Prefork("greet", f"1..{CLIENTS}", "--scale-down-delay", "0.2") as server:
        server.until_workers(1)
        for _ in range(TIMES):
            waits += _served(server.port)
            released = monotonic()
            server.until_workers(1)
            shrinking.append(monotonic() - released)
    return [
        at_most("served after, the slowest", max(waits), 1, "s"),
        Measure("served after", spread(waits, "ms", 1000)),
        Measure("back at one worker (scale-down-delay 0.2 s)", spread(shrinking, "s")),
    ]


def _served(port: int) -> list[float]:
    """Return how long each of the clients waited, all held until the last is served."""
    with ExitStack() as held:
        start = monotonic()
        waiting = [
            held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=LIMIT))
            for _ in range(CLIENTS)
        ]
        waits = []
        while waiting and monotonic() - start < LIMIT:
            for client in select.select(waiting, [], [], LIMIT)[0]:
                client.recv(16)
                waits.append(monotonic() - start)
                waiting.remove(client)
        return waits + [LIMIT] * len(waiting)
