"""How evenly clients spread over workers that have nothing to do."""

from collections import Counter
from collections.abc import Callable, Collection

from rig.server import Server
from rig.waiting import until


def busiest_share(server: Server, ask: Callable[[], object], each: int = 20) -> float:
    """Return how much the busiest worker takes against the mean, of ``each`` clients for each.

    ``ask`` returns who has answered.  Each client comes when all workers wait for one again:
    whatever else the machine does can keep one of them from that, and says nothing about us.
    """
    workers = server.pids()
    taken: Counter[object] = Counter()
    for _ in range(each * len(workers)):
        until_idle(server, workers)
        taken[ask()] += 1
    print("the workers against the mean:", *(count / each for count in taken.values()))
    assert len(workers) == len(taken)
    return max(taken.values()) / each


def until_idle(server: Server, workers: Collection[int] | None = None) -> None:
    """Wait until all of ``workers``, or all that there are, wait for something."""
    pids = server.pids() if workers is None else workers
    until(lambda: all(map(server.host.is_asleep, pids)), what="idle workers")
