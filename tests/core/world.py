"""A world for random histories: holds the pool to its promises after every single event."""

from collections import Counter
from dataclasses import replace

from prefork.core.actions import (
    Abort,
    Action,
    CountAsReady,
    Drain,
    Inspect,
    Kill,
    Nudge,
    Spawn,
    StartMold,
    StopListening,
)
from prefork.core.events import (
    Event,
    MoldExited,
    ProgramReported,
    SpawnFailed,
    StopRequested,
    WorkerExited,
    WorkerReady,
)
from prefork.core.pool import Pool, PoolLimits, Snapshot, WorkerReport
from prefork.core.states import Cause, ExitStatus, Mold, Phase, Process, State


class World:
    """The processes that the pool's orders have made, and their rows."""

    def __init__(self, limits: PoolLimits) -> None:
        self.now = 0.0
        self.pool = Pool(limits, self.now)
        self.orders: dict[Process, list[type[Action]]] = {}  #: what each process was ordered to do
        self.rows: dict[int, WorkerReport] = {}
        self.queued: int | None = 0
        self.spawned = 0
        self.closed = False
        self._phases: dict[int, Phase] = {}

    def look(self) -> None:
        """Have the pool decide, do what it orders, and check all that was promised."""
        snapshot = Snapshot(now=self.now, rows=dict(self.rows), queued=self.queued)
        orders = self.decide(snapshot)
        # The first decision may make room for another one, but nothing is ordered again.
        assert not set(orders) & set(self.decide(snapshot))

    def decide(self, snapshot: Snapshot) -> list[Action]:
        """Do what the pool orders now, and check it."""
        states = {slot: record.state for slot, record in self.pool.members.workers.items()}
        explained, target = self.pool.journal.total, self.pool.target
        # Without a roll an idle worker may go for the sake of one that is still starting.
        members = self.pool.members
        rolls = members.successor is not None or bool(members.outdated())
        promised = target if rolls and self.pool.state != "stopping" else 0
        orders = self.pool.decide(snapshot)
        self.check_promise(states, promised)
        for action in orders:
            self.perform(action)
        deadline = self.pool.deadline()
        assert deadline is None or deadline > self.now or self.pool.finished, "it would spin"
        self.check()
        self.check_explained(orders, target, self.pool.journal.total - explained)
        return orders

    def check_promise(self, before: dict[int, State], promised: int) -> None:
        """Check that a roll takes no ready worker away that the target counts on."""
        pool = self.pool
        ready_before = [slot for slot, state in before.items() if state is State.READY]
        taken = [
            slot
            for slot in ready_before
            if pool.members.workers[slot].state is State.DRAINING
            and pool.members.workers[slot].leaving_for is Cause.RETIRED
            and pool.members.workers[slot].since == self.now
        ]
        ready_after = sum(record.state is State.READY for record in pool.members.workers.values())
        if taken and pool.target >= promised and pool.state != "stopping":
            assert ready_after >= promised, "fewer ready than promised"

    def check_explained(self, orders: list[Action], target: int, entries: int) -> None:
        """Check that the journal has an entry for what is not plain from the target."""
        hangs = sum(isinstance(action, Inspect) for action in orders)
        assert entries >= hangs + (self.pool.target != target)
        for number, generation in self.pool.members.generations.items():
            if self._phases.get(number, Phase.STARTING) is not generation.phase:
                self._phases[number] = generation.phase
                soaks = generation.phase is Phase.SOAKING  # it is an event that brings this about
                assert number == 1 or soaks or any(it.kind == "reload" for it in self.pool.journal)

    def check(self) -> None:
        """Check the invariants of the pool's state."""
        limits, pool = self.pool.limits.scaling, self.pool
        surge = 0 if len(pool.members.generations) == 1 else pool.limits.surge
        states = Counter(record.state for record in pool.members.workers.values())
        live = states[State.STARTING] + states[State.READY]
        assert live <= limits.maximum + surge, "too many workers"
        assert live <= pool.target + surge or pool.state == "stopping"
        assert limits.minimum <= pool.target <= limits.maximum
        processes = {*pool.members.workers, *map(Mold, pool.members.molds)}
        assert set(self.orders) == processes, "the pool lost a process"
        assert states[State.STARTING] <= pool.limits.starting_at_once + surge
        assert self.spawned == pool.totals.spawned
        assert not (pool.watching and pool.state == "stopping")
        self.check_generations()

    def check_generations(self) -> None:
        """Check that one generation serves, at most one follows, and nothing is left of others."""
        pool = self.pool
        phases = Counter(generation.phase for generation in pool.members.generations.values())
        assert phases[Phase.CURRENT] == 1
        assert phases[Phase.STARTING] + phases[Phase.SOAKING] + phases[Phase.ROLLING] <= 1
        for record in pool.members.workers.values():
            assert record.generation in pool.members.generations, "a worker of no generation"
        for number, generation in pool.members.generations.items():
            of_it = [it for it in pool.members.workers.values() if it.generation == number]
            assert generation.phase is not Phase.RETIRING or of_it or generation.mold
            if generation.is_on_trial:
                assert sum(it.is_live for it in of_it) <= 1, "more than a canary"

    def perform(self, action: Action) -> None:
        """Do as the arbiter would; no process gets an order twice, nor one after its end."""
        match action:
            case Spawn(slot):
                assert slot not in self.orders, "the slot is in use"
                self.orders[slot] = []
                self.spawned += 1
                self.rows[slot] = WorkerReport()
            case StartMold(generation):
                assert Mold(generation) not in self.orders, "there is a mold already"
                self.orders[Mold(generation)] = []
            case StopListening():
                assert not self.closed
                self.closed = True
            case Drain(process) | Kill(process) | Inspect(process) | Abort(process):
                assert type(action) not in self.orders[process]
                assert Kill not in self.orders[process]
                assert Abort not in self.orders[process] or isinstance(action, Kill)
                self.orders[process].append(type(action))
            case CountAsReady(slot):
                assert not {CountAsReady, Drain, Kill} & set(self.orders[slot])
                assert self.pool.limits.ready_after
                self.orders[slot].append(CountAsReady)
            case Nudge(slot):
                assert Drain in self.orders[slot]
                assert Kill not in self.orders[slot]

    def happen(self, event: Event) -> None:
        """Have something happen."""
        if isinstance(event, WorkerReady):
            self.pool.apply(ProgramReported(event.slot), self.now)
        self.pool.apply(event, self.now)
        match event:
            case WorkerExited(process) | SpawnFailed(process):
                del self.orders[process]
                if isinstance(process, int):
                    self.rows.pop(process)
            case MoldExited(generation):
                del self.orders[Mold(generation)]

    def set_row(self, slot: int, **fields) -> None:
        """Have a worker write its row."""
        self.rows[slot] = replace(self.rows[slot], **fields)

    def workers(self, *states: State) -> list[int]:
        """Return the slots of the workers in one of ``states``."""
        workers = self.pool.members.workers
        return sorted(slot for slot, record in workers.items() if record.state in states)

    def molds(self, *states: State) -> list[int]:
        """Return the generations whose mold is in one of ``states``."""
        return sorted(
            number for number, it in self.pool.members.molds.items() if it.state in states
        )

    def processes(self, *states: State) -> list[Process]:
        """Return all processes in one of ``states``."""
        return [*map(Mold, self.molds(*states)), *self.workers(*states)]

    def exit(self, process: Process, status: ExitStatus, accepted: int = 1) -> None:
        """Have a process end."""
        if isinstance(process, Mold):
            self.happen(MoldExited(process.generation, status))
        else:
            self.happen(WorkerExited(process, status, accepted))

    def end(self) -> None:
        """Stop gracefully; who is asked to leave does so; nothing lasts longer than allowed."""
        limit = self.now + self.pool.limits.graceful_timeout
        self.happen(StopRequested())  # A second time it changes nothing: the end is the earlier.
        for _ in range(10_000):
            self.look()
            if self.pool.finished:
                break
            leaving = self.processes(State.DRAINING, State.KILLED)
            if leaving:
                self.exit(leaving[0], ExitStatus(code=0))
            else:
                self.now = max(self.pool.deadline(), self.now)
        assert self.pool.finished
        assert self.now <= limit
