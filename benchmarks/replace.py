"""How soon a killed worker has a successor, and who is hurt: kill -9 under load, many times."""

import os
import random
import select
import signal
import statistics
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from benchmarks.load import Outcome, outcome
from benchmarks.processes import lock_holders
from benchmarks.report import Measure, Options, at_most, progress, spread
from benchmarks.servers import Prefork

WORKERS = 6
CLIENTS = 4
KILLS = 100
QUIET_LIMIT = 8.0  #: milliseconds, when nothing else is going on
APART = 0.02  #: seconds from a successor's readiness to the next kill
LIMIT = 120.0  #: seconds that all of it may take

#: Seconds in which a client learns that its worker was killed.
HEARD_WITHIN = 0.1

Choose = Callable[[Prefork], int]


@dataclass(frozen=True, slots=True)
class Kill:
    """Who was killed, when, and how many seconds later its successor was ready."""

    victim: int
    at: float
    took: float


def run(options: Options, *, start: str) -> list[Measure]:
    """Kill workers, and holders of the accept mutex, of a server that starts them by ``start``."""
    limit = 20.0 if start == "fork" else None
    return [
        *_measure(options, f"{start}, any worker", _any, limit, "--start", start),
        *_measure(
            options,
            f"{start}, the mutex' holder",
            _holder,
            limit,
            *("--start", start, "--accept", "mutex"),
        ),
    ]


def run_quiet(options: Options) -> list[Measure]:
    """Kill idle workers of a server without clients."""
    del options
    with Prefork("greet", str(WORKERS)) as server:
        server.until_workers(WORKERS)
        took = []
        for _ in range(KILLS):
            took.append(_kill(server, _any(server)).took)
            select.select([], [], [], APART)
    value = statistics.median(took) * 1000
    note = f" ({spread(took, 'ms', 1000)})"
    return [at_most("from the kill to `worker ready`", value, QUIET_LIMIT, "ms", note)]


def _measure(
    options: Options, name: str, choose: Choose, limit: float | None, *flags: str
) -> list[Measure]:
    with Prefork("greet", str(WORKERS), *flags) as server:
        server.until_workers(WORKERS)
        with options.load.running("ask", server.port, CLIENTS, LIMIT) as load:
            kills: list[Kill] = []
            while len(kills) < KILLS and load.poll() is None:
                kills.append(_kill(server, choose(server)))
                select.select([], [], [], APART)
            load.terminate()
            result = outcome(load)
    progress(f"  {name}: {len(kills)} kills, {result.ops} requests, {result.errors} failed")
    took = [kill.took for kill in kills]
    line = spread(took, "ms", 1000)
    ready = f"{name}: from the kill to `worker ready`"
    if limit is None:
        measured = Measure(ready, line)
    else:
        measured = at_most(ready, statistics.median(took) * 1000, limit, "ms", f" ({line})")
    return [measured, _blame(name, kills, result)]


def _kill(server: Prefork, victim: int) -> Kill:
    slot = server.living[victim]
    since = len(server.events)
    start = monotonic()
    os.kill(victim, signal.SIGKILL)
    ready, _ = server.moment_of("worker ready", since, slot=slot)
    server.wait_for("worker exited", since, pid=victim)
    return Kill(victim, start, ready - start)


def _any(server: Prefork) -> int:
    return random.choice(list(server.living))


def _holder(server: Prefork) -> int:
    """Return a worker that surely holds the mutex, and is suspended so that it goes on to."""
    start = monotonic()
    while monotonic() - start < LIMIT:
        for pid in lock_holders("FLOCK") & set(server.living):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                if pid in lock_holders("FLOCK"):
                    return pid
                os.kill(pid, signal.SIGCONT)
    raise TimeoutError("nobody seems to hold the accept mutex")


def _blame(name: str, kills: list[Kill], result: Outcome) -> Measure:
    """Tell to whom the failed requests belong.

    A worker holds one connection, so at most one failure can belong to a kill.  A client that
    fails before it is told who serves it is counted by its time, as that of a kill just before.
    """
    ours = {kill.victim: kill.at for kill in kills}
    told = {pid for pid, moment in result.failures if pid in ours and moment >= ours[pid]}
    early: set[int] = set()
    for _, moment in (failure for failure in result.failures if not failure[0]):
        near = [pid for pid, at in ours.items() if at <= moment <= at + HEARD_WITHIN]
        early |= set([pid for pid in near if pid not in told | early][:1])
    hurt = len(told) + len(early)
    others = result.errors - hurt
    value = f"{others} of {result.ops + result.errors}"
    value += f"; of killed workers: {hurt} ({len(early)} before they were greeted)"
    return Measure(f"{name}: failed requests of other workers", value, "0", others == 0)
