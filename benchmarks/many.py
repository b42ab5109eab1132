"""How long a large pool takes to start, to shrink and to stop."""

from time import monotonic

from benchmarks.processes import tree, tree_cpu
from benchmarks.report import Measure, Options
from benchmarks.servers import Prefork

WORKERS = 500


def run(options: Options) -> list[Measure]:
    """Start many workers, scale down to one, stop."""
    del options
    start = monotonic()
    with Prefork("echo", str(WORKERS)) as server:
        started = server.until_workers(WORKERS, 120) - start
        cpu = tree_cpu(server.pid)
        moment = monotonic()
        server.ask(command="scale", minimum=1, maximum=1)
        shrunk = server.until_workers(1, 120) - moment
        left = len(tree(server.pid))
        stopped = server.stop()
    return [
        Measure(f"{WORKERS} workers ready", f"{started:.2f} s ({cpu:.1f} s of CPU)"),
        Measure("scaled down to 1", f"{shrunk:.2f} s ({left} processes left)"),
        Measure("stopped", f"{stopped:.2f} s"),
    ]
