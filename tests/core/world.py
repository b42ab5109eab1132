"""A world for random histories: holds the pool to its promises after every single event."""

from dataclasses import replace

from prefork.core.actions import (
    Action,
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
    SpawnFailed,
    StopRequested,
    WorkerExited,
)
from prefork.core.pool import Pool, PoolLimits, Row, Snapshot
from prefork.core.states import MOLD, ExitStatus, State


class World:
    """The processes that the pool's orders have made, and their rows."""

    def __init__(self, limits: PoolLimits) -> None:
        self.now = 0.0
        self.pool = Pool(limits, self.now)
        self.orders: dict[int, list[type[Action]]] = {}  #: what each living process was told
        self.rows: dict[int, Row] = {}
        self.queued: int | None = 0
        self.spawned = 0
        self.closed = False

    def look(self) -> None:
        """Have the pool decide, do what it says, and check all that was promised."""
        snapshot = Snapshot(self.now, dict(self.rows), self.queued)
        orders = self.decide(snapshot)
        # The first decision may make room for another one, but nothing is ordered again.
        assert not set(orders) & set(self.decide(snapshot))

    def decide(self, snapshot: Snapshot) -> list[Action]:
        """Do what the pool says now, and check it."""
        orders = self.pool.decide(snapshot)
        for action in orders:
            self.perform(action)
        deadline = self.pool.deadline()
        assert deadline is None or deadline > self.now or self.pool.finished, "it would spin"
        self.check()
        return orders

    def check(self) -> None:
        """Check the invariants of the pool's state."""
        limits, pool = self.pool.limits.scaling, self.pool
        states = [record.state for slot, record in pool.records.items() if slot != MOLD]
        live = states.count(State.STARTING) + states.count(State.READY)
        assert live <= limits.maximum, "too many workers"
        assert live <= pool.target or pool.state == "stopping"
        assert limits.minimum <= pool.target <= limits.maximum
        assert set(self.orders) == set(pool.records), "the pool lost a process"
        assert states.count(State.STARTING) <= pool.limits.starting_at_once
        assert self.spawned == pool.totals.spawned
        assert not (pool.watching and pool.state == "stopping")

    def perform(self, action: Action) -> None:
        """Do as the arbiter would; nobody is told the same twice, nor to live after its end."""
        match action:
            case Spawn(slot) | StartMold(slot):
                place = slot if isinstance(action, Spawn) else MOLD
                assert place not in self.orders, "the slot is in use"
                self.orders[place] = []
                self.spawned += isinstance(action, Spawn)
                if place != MOLD:
                    self.rows[place] = Row()
            case StopListening():
                assert not self.closed
                self.closed = True
            case Drain(slot) | Kill(slot) | Inspect(slot):
                assert type(action) not in self.orders[slot]
                assert Kill not in self.orders[slot]
                self.orders[slot].append(type(action))
            case Nudge(slot):
                assert Drain in self.orders[slot]
                assert Kill not in self.orders[slot]

    def tell(self, event: Event) -> None:
        """Have something happen."""
        self.pool.apply(event, self.now)
        if isinstance(event, WorkerExited | SpawnFailed):
            del self.orders[event.slot]
            self.rows.pop(event.slot, None)

    def set_row(self, slot: int, **fields) -> None:
        """Have a worker write its row."""
        self.rows[slot] = replace(self.rows[slot], **fields)

    def in_state(self, *states: State) -> list[int]:
        """Return the slots of those in one of ``states``, the mold's too."""
        return sorted(slot for slot, it in self.pool.records.items() if it.state in states)

    def end(self) -> None:
        """Stop gracefully; whoever is asked to leave does so; nobody waits longer than allowed."""
        limit = self.now + self.pool.limits.graceful_timeout
        self.tell(StopRequested())  # The second time it changes nothing: the end is the earlier.
        for _ in range(10_000):
            self.look()
            if self.pool.finished:
                break
            leaving = self.in_state(State.DRAINING, State.KILLED)
            if leaving:
                slot = leaving[0]
                self.tell(WorkerExited(slot, ExitStatus(code=0)))
            else:
                self.now = max(self.pool.deadline(), self.now)
        assert self.pool.finished
        assert self.now <= limit
