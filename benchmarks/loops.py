"""Workers with event loops, against asyncio's own server on the same shared socket.

Wake-ups: one connection after the other to eight idle workers.  CPU: the same eight, busy with 32
clients.  Tail: connections at random moments to four workers, one in fifty of which blocks its
worker for 50 ms; the durations of the others.  Ours and the rival take turns, started afresh in
each round.
"""

import select
import socket
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from benchmarks.processes import facts, tree, tree_cpu
from benchmarks.report import Measure, Options, at_most, progress
from benchmarks.servers import Bare, Prefork, Server

WORKERS = {"wake-ups": 8, "tail": 4}
CONNECTIONS = 500
APART = 0.002  #: seconds
RATE = 1400  #: connections a second in the tail's load: 60 % of what four blocking workers do


def run(options: Options) -> list[Measure]:
    """Measure asyncio's loop and, where it is installed, uvloop's."""
    return [line for loop in ("asyncio", "uvloop") for line in _measures(loop, options)]


def _measures(loop: str, options: Options) -> Iterator[Measure]:
    woken: dict[str, list[float]] = {"ours": [], "rival": []}
    spent: dict[str, list[float]] = {"ours": [], "rival": []}
    tails: dict[str, list[float]] = {"ours": [], "rival": []}
    errors = 0
    for number in range(options.rounds):
        progress(f"  {loop}, round {number + 1} of {options.rounds}")
        for name, server in _servers(loop, WORKERS["wake-ups"], number):
            woken[name].append(_wake_ups(server))
            spent[name].append(_cpu(server, options))
        for name, server in _servers(loop, WORKERS["tail"], number):
            outcome = options.load.run("open", server.port, RATE, options.seconds)
            tails[name].append(outcome.p99)
            errors += outcome.errors
    ours, rival = (statistics.median(woken[name]) for name in ("ours", "rival"))
    yield at_most(f"{loop}: wake-ups a connection", ours, 1.2, note=f" (rival {rival:.2f})")
    each = [statistics.median(spent[name]) * 1e6 for name in ("ours", "rival")]
    ratio = statistics.median(_ratios(spent))
    note = f" (median {each[0]:.0f} and {each[1]:.0f} µs)"
    yield Measure(f"{loop}: CPU a connection, ratio", f"{ratio:.2f} ×{note}")
    ratios = _ratios(tails)
    medians = [statistics.median(tails[name]) * 1e3 for name in ("ours", "rival")]
    note = (
        f" (p99 {medians[0]:.1f} and {medians[1]:.1f} ms; "
        f"ratios {min(ratios):.2f} to {max(ratios):.2f}; {errors} errors)"
    )
    limit = {"asyncio": 0.65, "uvloop": 1.0}[loop]  # whose own server takes one at a time, too
    yield at_most(
        f"{loop}: p99 as part of the rival's", statistics.median(ratios), limit, note=note
    )


def _servers(loop: str, workers: int, turn: int) -> Iterator[tuple[str, Server]]:
    """Start both, and yield each with its name; who comes first changes."""
    starters: dict[str, Callable[[], Server]] = {
        "ours": lambda: Prefork("answer", str(workers), "--loop", loop),
        "rival": lambda: Bare(workers, "bareloop", loop),
    }
    names = list(starters)[:: 1 if turn % 2 else -1]
    with ExitStack() as running:
        servers = {name: running.enter_context(starters[name]()) for name in names}
        ours = servers["ours"]
        assert isinstance(ours, Prefork)
        ours.until_workers(workers)
        for server in servers.values():
            for _ in range(4 * workers):  # all loops run
                _ask(server.port)
        yield from servers.items()


def _ratios(values: dict[str, list[float]]) -> list[float]:
    return [ours / rival for ours, rival in zip(values["ours"], values["rival"], strict=True)]


def _cpu(server: Server, options: Options) -> float:
    before = tree_cpu(server.pid)
    outcome = options.load.run("conn", server.port, 32, options.seconds)
    return (tree_cpu(server.pid) - before) / outcome.ops


def _wake_ups(server: Server) -> float:
    before = _voluntary(server)
    for _ in range(CONNECTIONS):
        _ask(server.port)
        select.select([], [], [], APART)
    return (_voluntary(server) - before) / CONNECTIONS


def _ask(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"ping".ljust(64))
        while client.recv(64):
            pass


def _voluntary(server: Server) -> int:
    return sum(facts(pid)["voluntary"] for pid in tree(server.pid))
