"""How much memory eight idle workers take, each page shared among those that map it (PSS)."""

import statistics
import tempfile
from time import monotonic

from benchmarks.processes import proportional_memory, tree
from benchmarks.report import Measure, Options, at_most, progress
from benchmarks.servers import PATIENCE
from benchmarks.start import Started, answer, command, free_port

WORKERS = 8
ROUNDS = 3
REQUESTS = 40  #: so that each worker has served some
LIMIT = 43.0  #: MB

SERVERS = ("prefork", "gunicorn --preload")


def run(options: Options) -> list[Measure]:
    """Add up the memory of each server's processes after some requests."""
    del options
    sizes: dict[str, list[float]] = {name: [] for name in SERVERS}
    for number in range(ROUNDS):
        progress(f"  round {number + 1} of {ROUNDS}")
        for name, values in sizes.items():
            values.append(_memory(name))
    ours, theirs = (statistics.median(values) for values in sizes.values())
    return [
        at_most(f"prefork, {WORKERS} workers and their parents: PSS", ours, LIMIT, "MB"),
        Measure("gunicorn --preload, likewise", f"{theirs:.3g} MB"),
    ]


def _memory(name: str) -> float:
    with tempfile.TemporaryDirectory(prefix="prefork-benchmark-") as directory:
        port = free_port()
        with Started(command(name, port, WORKERS, directory)) as server:
            until = monotonic() + PATIENCE
            answer(port, until)
            while _processes(server.pid) < WORKERS + 1 and monotonic() < until:
                answer(port, until)
            for _ in range(REQUESTS):
                answer(port, until)
            return sum(map(proportional_memory, tree(server.pid))) / 1e6


def _processes(root: int) -> int:
    return len(tree(root))
