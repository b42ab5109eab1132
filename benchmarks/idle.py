"""What the arbiter of many idle workers costs."""

import select
from time import monotonic

from benchmarks.processes import facts, own_cpu
from benchmarks.report import Measure, Options, at_most
from benchmarks.servers import Prefork

WORKERS = 100
SECONDS = 20.0
SETTLING = 1.0


def run(options: Options) -> list[Measure]:
    """Watch an idle arbiter for a while."""
    del options
    with Prefork("echo", str(WORKERS)) as server:
        server.until_workers(WORKERS)
        _pause(SETTLING)
        start, cpu, before = monotonic(), own_cpu(server.pid), facts(server.pid)
        workers = sum(facts(pid)["voluntary"] for pid in server.living)
        _pause(SECONDS)
        took, spent, after = monotonic() - start, own_cpu(server.pid) - cpu, facts(server.pid)
        workers = sum(facts(pid)["voluntary"] for pid in server.living) - workers
    wakeups = (after["voluntary"] - before["voluntary"]) / took
    return [
        at_most("threads of the arbiter", after["threads"], 1),
        at_most("its voluntary context switches a second", wakeups, 1),
        at_most("its CPU time", spent / took * 100, 0.1, "% of a core"),
        Measure("the same switches of its workers, all together", f"{workers / took:.3g}"),
    ]


def _pause(seconds: float) -> None:
    select.select([], [], [], seconds)
