"""Short forms of what the tests send to a pool."""

from collections.abc import Mapping

from prefork.core.events import MoldReady, TargetLoaded, WorkerReady
from prefork.core.limits import ScalingLimits
from prefork.core.pool import Pool, PoolLimits, Snapshot, WorkerReport
from prefork.core.restart import RestartLimits
from prefork.core.states import ExitStatus, Mold

SIGKILLED = ExitStatus(signal="SIGKILL")
SIGSEGVED = ExitStatus(signal="SIGSEGV")
EXITED = ExitStatus(code=0)
FAILED = ExitStatus(code=1)
OUT_OF_MEMORY = ExitStatus(signal="SIGKILL", out_of_memory=True)

IDLE = WorkerReport()


def fixed(size: int) -> ScalingLimits:
    return ScalingLimits(minimum=size, maximum=size)


def busy(since: float, *, leaving: bool = False) -> WorkerReport:
    return WorkerReport(active=1, busy_since=since, leaving=leaving, accepted=1)


def at(
    now: float, rows: Mapping[int, WorkerReport] | None = None, *, queued: int | None = 0
) -> Snapshot:
    """A look at ``now``; whoever is not in ``rows`` is idle."""
    everybody = {slot: IDLE for slot in range(20)}
    return Snapshot(now=now, rows=everybody | dict(rows or {}), queued=queued)


def limits_of(scaling: ScalingLimits, **limits) -> PoolLimits:
    return PoolLimits(scaling=scaling, **limits)


def pool_of(scaling: ScalingLimits, *, fork: bool = False, **limits) -> Pool:
    """A pool at 0.0 that has not decided anything yet."""
    return Pool(limits_of(scaling, fork=fork, **limits), 0.0)


def running_pool(size: int = 2, **limits) -> Pool:
    """A fixed pool of spawned workers, all of them ready and idle at 0.0."""
    return settled(pool_of(fixed(size), **limits), range(size))


def forking_pool(size: int = 2, **limits) -> Pool:
    """A fixed pool of forked workers, all of them ready and idle at 0.0, and their mold."""
    pool = pool_of(fixed(size), fork=True, **limits)
    pool.decide(at(0.0))
    pool.apply(TargetLoaded(Mold(1)), 0.0)
    pool.apply(MoldReady(1), 0.0)
    return settled(pool, range(size))


def settled(pool: Pool, slots: range) -> Pool:
    """The ``pool`` after its workers in ``slots`` were ordered and became ready, at 0.0."""
    pool.decide(at(0.0))
    for slot in slots:
        pool.apply(TargetLoaded(slot), 0.0)
        pool.apply(WorkerReady(slot), 0.0)
    pool.decide(at(0.0))
    return pool


IMPATIENT = RestartLimits(intensity=3)
