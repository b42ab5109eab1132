"""CPU time for each connection, and for each message on held ones, against the bare loop.

In each round all servers are started afresh and take turns in short slices, in an order that
rotates: what else the machine does meets them alike.  A ratio is that of two servers in the
same round.  The bare loop runs twice; how far the two are apart is how little a difference means.
"""

import random
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.processes import tree_cpu
from benchmarks.report import Measure, Options, at_most, progress
from benchmarks.servers import Bare, Prefork, Server

WORKERS = 8
WARM_UP = 0.2  #: seconds
SLICES = 4  #: of each server and mode in a round

#: Mode of the load, clients, what an operation is, and the most that it may cost.
LOADS = (("conn", 32, "connection", 1.15), ("held", 8, "message", 1.05))
RIVAL = "bare loop"


@dataclass(slots=True)
class Cost:
    """Of one server in one round: CPU seconds, operations, and those that failed."""

    spent: float = 0.0
    ops: int = 0
    errors: int = 0

    @property
    def each(self) -> float:
        """CPU microseconds for each operation."""
        return self.spent / self.ops * 1e6


def run(options: Options) -> list[Measure]:
    """Measure the accept modes against the bare loop."""
    starters = _servers()
    rounds = []
    for number in range(options.rounds):
        progress(f"  round {number + 1} of {options.rounds}")
        with ExitStack() as running:
            servers = {name: running.enter_context(start()) for name, start in starters.items()}
            rounds.append(_round(servers, options))
    return [
        measure
        for mode, _, unit, limit in LOADS
        for name in starters
        for measure in _lines(
            name,
            unit,
            limit,
            [costs[name, mode] for costs in rounds],
            [costs[RIVAL, mode] for costs in rounds],
        )
    ]


def _servers() -> dict[str, Callable[[], Server]]:
    def prefork(accept: str) -> Callable[[], Server]:
        return lambda: Prefork("echo", str(WORKERS), "--accept", accept)

    return {
        RIVAL: lambda: Bare(WORKERS),
        f"{RIVAL} again": lambda: Bare(WORKERS),
        **{f"accept {accept}": prefork(accept) for accept in ("auto", "exclusive", "mutex")},
    }


def _round(servers: dict[str, Server], options: Options) -> dict[tuple[str, str], Cost]:
    for server in servers.values():
        if isinstance(server, Prefork):
            server.until_workers(WORKERS)
        for mode, clients, _, _ in LOADS:
            options.load.run(mode, server.port, clients, WARM_UP)
    costs = {(name, mode): Cost() for name in servers for mode, _, _, _ in LOADS}
    names = list(servers)
    random.shuffle(names)
    for turn in range(SLICES):
        turn %= len(names)
        for mode, clients, _, _ in LOADS:
            for name in names[turn:] + names[:turn]:
                _measure(servers[name], mode, clients, options, costs[name, mode])
    return costs


def _measure(server: Server, mode: str, clients: int, options: Options, cost: Cost) -> None:
    before = tree_cpu(server.pid)
    outcome = options.load.run(mode, server.port, clients, options.seconds / SLICES)
    if not outcome.ops:
        raise RuntimeError("the server does not work")
    cost.spent += tree_cpu(server.pid) - before
    cost.ops += outcome.ops
    cost.errors += outcome.errors


def _lines(
    name: str, unit: str, limit: float, costs: list[Cost], rival: list[Cost]
) -> list[Measure]:
    each = [cost.each for cost in costs]
    ops = statistics.median(cost.ops for cost in costs)
    errors = sum(cost.errors for cost in costs)
    shown = f"median {statistics.median(each):.1f}, min {min(each):.1f} µs"
    lines = [Measure(f"{name}: CPU a {unit}", f"{shown}; {ops:.0f} ops a round, {errors} errors")]
    if name == RIVAL:
        return lines
    ratios = [ours.each / theirs.each for ours, theirs in zip(costs, rival, strict=True)]
    least = min(each) / min(cost.each for cost in rival)
    note = f" (min {min(ratios):.2f}, max {max(ratios):.2f}; of the minima {least:.2f})"
    title, middle = f"{name}: ratio a {unit}, median", statistics.median(ratios)
    if name.startswith(RIVAL):
        return [*lines, Measure(title, f"{middle:.3g} ×{note}")]
    return [*lines, at_most(title, middle, limit, "×", note)]
