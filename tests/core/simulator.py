"""A server without processes: clients, an accept queue, workers, and an arbiter around a Pool."""

import heapq
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count

from prefork.core.actions import Action, Drain, Kill, Spawn
from prefork.core.events import ConnectionArrived, Event, WorkerExited, WorkerReady
from prefork.core.pool import Pool, PoolLimits, Snapshot, WorkerReport
from prefork.core.states import ExitStatus, State


class SimulatedWorker:
    """Takes one connection at a time, as soon as it is ready and one waits."""

    def __init__(self) -> None:
        self.ready = self.leaving = False
        self.accepted = 0
        self.busy_since: float | None = None

    @property
    def is_free(self) -> bool:
        return self.ready and not self.leaving and self.busy_since is None

    def row(self) -> WorkerReport:
        busy = int(self.busy_since is not None)
        return WorkerReport(
            connections=busy,
            active=busy,
            busy_since=self.busy_since,
            leaving=self.leaving,
            accepted=self.accepted,
        )


class Simulation:
    """Runs a pool through a history of arrivals, in as little time as it takes to compute."""

    def __init__(self, limits: PoolLimits, *, boot: float = 0.005) -> None:
        self.now = 0.0
        self.boot = boot
        self.pool = Pool(limits, self.now)
        self.workers: dict[int, SimulatedWorker] = {}
        self.queue: deque[tuple[float, float]] = deque()  #: (arrived, how long it holds)
        self.waits: list[float] = []  #: seconds each client waited for its worker
        self.targets: list[tuple[float, int]] = [(0.0, self.pool.target)]
        self.most_workers = 0
        self.decisions = 0
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._arbitrate()

    def arrive(self, at: float, *, holds: float, clients: int = 1) -> None:
        """Have clients connect at ``at``, each keeping its worker for ``holds`` seconds."""
        for _ in range(clients):
            self._plan(at, lambda: self._arrive(holds))

    def run(self, until: float) -> None:
        """Go on to the moment ``until``, from happening to happening."""
        while (moment := self._next_moment()) <= until:
            assert moment >= self.now, "time stands still or runs backwards"
            self.now = moment
            if self._agenda and self._agenda[0][0] <= self.now:
                heapq.heappop(self._agenda)[2]()
            else:
                self._arbitrate()
        self.now = until

    @property
    def ready(self) -> int:
        return sum(worker.ready for worker in self.workers.values())

    def targets_since(self, moment: float) -> list[int]:
        """Return the targets that were set after ``moment``."""
        return [target for at, target in self.targets if at > moment]

    def _next_moment(self) -> float:
        deadline = self.pool.deadline()
        happening = self._agenda[0][0] if self._agenda else float("inf")
        return min(happening, float("inf") if deadline is None else deadline)

    def _plan(self, at: float, happening: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (at, next(self._order), happening))

    def _arbitrate(self, event: Event | None = None) -> None:
        if event is not None:
            self.pool.apply(event, self.now)
        rows = {slot: worker.row() for slot, worker in self.workers.items()}
        for action in self.pool.decide(Snapshot(now=self.now, rows=rows, queued=len(self.queue))):
            self._perform(action)
        self._measure()
        deadline = self.pool.deadline()
        assert deadline is None or deadline > self.now, "the arbiter would spin"
        if self.pool.watching and self.queue:
            # The listener is readable already; the wake-up is not missed by watching late.
            self._arbitrate(ConnectionArrived())

    def _measure(self) -> None:
        self.decisions += 1
        self.most_workers = max(self.most_workers, self._live())
        if self.pool.target != self.targets[-1][1]:
            self.targets.append((self.now, self.pool.target))

    def _live(self) -> int:
        states = [record.state for record in self.pool.members.workers.values()]
        return states.count(State.STARTING) + states.count(State.READY)

    def _perform(self, action: Action) -> None:
        match action:
            case Spawn(slot):
                assert slot not in self.workers, "the slot is in use"
                self.workers[slot] = worker = SimulatedWorker()
                self._plan(self.now + self.boot, lambda: self._become_ready(slot, worker))
            case Drain(int(drained)):
                self.workers[drained].leaving = True
                if self.workers[drained].busy_since is None:
                    self._plan(self.now, lambda: self._exit(drained))
            case Kill(int(killed)):
                self._plan(self.now, lambda: self._exit(killed))

    def _arrive(self, holds: float) -> None:
        self.queue.append((self.now, holds))
        watching = self.pool.watching
        self._serve()
        if watching:
            self._arbitrate(ConnectionArrived())

    def _become_ready(self, slot: int, worker: SimulatedWorker) -> None:
        worker.ready = True
        self._serve()
        self._arbitrate(WorkerReady(slot))

    def _serve(self) -> None:
        for slot, worker in self.workers.items():
            if self.queue and worker.is_free:
                arrived, holds = self.queue.popleft()
                self.waits.append(self.now - arrived)
                worker.accepted += 1
                worker.busy_since = self.now
                self._plan(self.now + holds, partial(self._release, slot))

    def _release(self, slot: int) -> None:
        worker = self.workers[slot]
        worker.busy_since = None
        if worker.leaving:
            self._exit(slot)
        self._serve()

    def _exit(self, slot: int) -> None:
        worker = self.workers.pop(slot)
        self._arbitrate(WorkerExited(slot, ExitStatus(code=0), worker.accepted))
