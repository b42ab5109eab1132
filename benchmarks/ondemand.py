"""How long the first client of a server without a worker waits."""

import select
import socket
from time import monotonic

from benchmarks.processes import tree
from benchmarks.report import Measure, Options, at_most, spread
from benchmarks.servers import Prefork

TIMES = 20
SETTLING = 0.05  #: seconds after the last worker has gone


def run(options: Options) -> list[Measure]:
    """Wake a server from zero workers, again and again."""
    del options
    waits = []
    with Prefork("greet", "0..4", "--scale-down-delay", "0.2") as server:
        server.wait_for("mold ready")
        idle = len(tree(server.pid))
        for _ in range(TIMES):
            waits.append(_first_answer(server.port))
            server.until(lambda: bool(server.living), 10)
            server.until_workers(0, 10)
            select.select([], [], [], SETTLING)
    return [
        at_most("first answer, the slowest", max(waits) * 1000, 100, "ms"),
        Measure("first answer", spread(waits, "ms", 1000)),
        Measure("processes while idle (arbiter, mold)", str(idle)),
    ]


def _first_answer(port: int) -> float:
    start = monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.recv(16)
        return monotonic() - start
