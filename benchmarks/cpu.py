"""CPU time for each connection, and for each message on held ones, against the bare loop.

In each round every server is started, warmed up, measured and ended; the order rotates, so
none profits from its place.  A ratio is that of two runs of the same round.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.processes import tree_cpu
from benchmarks.report import Measure, Options, at_most, progress
from benchmarks.servers import Bare, Prefork, Server

WORKERS = 8
WARM_UP = 0.3  #: seconds

#: Mode of the load, clients, what an operation is, and the most that it may cost.
LOADS = (("conn", 32, "connection", 1.15), ("held", 8, "message", 1.05))
RIVAL = "bare loop"


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one run: CPU microseconds for each operation, and the operations."""

    cpu: float
    ops: int
    errors: int


def run(options: Options) -> list[Measure]:
    """Measure the accept modes against the bare loop."""
    servers = _servers()
    costs: dict[tuple[str, str], list[Cost]] = {}
    for number in range(options.rounds):
        progress(f"  round {number + 1} of {options.rounds}")
        names = list(servers)
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            for mode, cost in _round(servers[name], options).items():
                costs.setdefault((name, mode), []).append(cost)
    return [
        measure
        for mode, _, unit, limit in LOADS
        for name in servers
        for measure in _lines(name, unit, limit, costs[name, mode], costs[RIVAL, mode])
    ]


def _servers() -> dict[str, Callable[[], Server]]:
    def prefork(accept: str) -> Callable[[], Server]:
        return lambda: Prefork("echo", str(WORKERS), "--accept", accept)

    return {
        RIVAL: lambda: Bare(WORKERS),
        **{f"accept {accept}": prefork(accept) for accept in ("auto", "exclusive", "mutex")},
    }


def _round(start: Callable[[], Server], options: Options) -> dict[str, Cost]:
    with start() as server:
        if isinstance(server, Prefork):
            server.until_workers(WORKERS)
        return {mode: _measured(server, mode, clients, options) for mode, clients, _, _ in LOADS}


def _measured(server: Server, mode: str, clients: int, options: Options) -> Cost:
    options.load.run(mode, server.port, clients, WARM_UP)
    before = tree_cpu(server.pid)
    outcome = options.load.run(mode, server.port, clients, options.seconds)
    spent = tree_cpu(server.pid) - before
    return Cost(spent / max(outcome.ops, 1) * 1e6, outcome.ops, outcome.errors)


def _lines(
    name: str, unit: str, limit: float, costs: list[Cost], rival: list[Cost]
) -> list[Measure]:
    each = [cost.cpu for cost in costs]
    ops = statistics.median(cost.ops for cost in costs)
    errors = sum(cost.errors for cost in costs)
    shown = f"median {statistics.median(each):.1f}, min {min(each):.1f} µs"
    lines = [Measure(f"{name}: CPU a {unit}", f"{shown}; {ops:.0f} ops a run, {errors} errors")]
    if name == RIVAL:
        return lines
    ratios = [ours.cpu / theirs.cpu for ours, theirs in zip(costs, rival, strict=True)]
    least = min(each) / min(cost.cpu for cost in rival)
    note = f" (min {min(ratios):.2f}, max {max(ratios):.2f}; of the minima {least:.2f})"
    title = f"{name}: ratio a {unit}, median"
    return [*lines, at_most(title, statistics.median(ratios), limit, "×", note)]
