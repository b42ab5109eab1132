"""The arbiter's processes: started, read from, ended; each step of their lives is logged once."""

import selectors
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from prefork.arbiter.channels import Channels
from prefork.arbiter.child_events import ChildEvents, fields
from prefork.arbiter.generations import Generations
from prefork.arbiter.orders import fork_order, mold_order, worker_order
from prefork.core.events import (
    ForkRefused,
    MoldExited,
    SpawnFailed,
    TargetLoaded,
    WorkerExited,
)
from prefork.core.states import ExitStatus, Mold, Process
from prefork.errors import ProtocolError
from prefork.incidents import Inspector
from prefork.ipc import messages
from prefork.platform.base import Child, Platform

if TYPE_CHECKING:
    from prefork.arbiter.programs.programs import Programs


class Children:
    """All living children of the arbiter: workers by slot, molds by generation."""

    def __init__(
        self,
        events: ChildEvents,
        platform: Platform,
        selector: selectors.BaseSelector,
        generations: Generations,
        programs: "Programs | None" = None,
    ) -> None:
        """Start workers as ``programs`` does, if there is one; otherwise they are ours."""
        self.by_slot: dict[int, Child] = {}
        self.molds: dict[int, Child] = {}
        self.inspector = Inspector(platform)
        self.events = events
        self.programs = programs
        self._pool = events.pool
        self._scoreboard = events.scoreboard
        self._log = events.log
        self._platform = platform
        self._channels = Channels(selector, self._handle_message, self._note_end_of_channel)
        self._generations = generations
        self._serials = count()  # of orders to molds

    def start_mold(self, generation: int) -> None:
        """Start the mold of ``generation``."""
        of = self._generations.of
        self._begin(
            Mold(generation),
            lambda: self._platform.spawn(mold_order(of(generation), generation)),
        )

    def start(self, slot: int, generation: int, *, fork: bool) -> None:
        """Start a worker: a program, by an order to the mold, or as a fresh interpreter."""
        of = self._generations.of
        if (programs := self.programs) is not None:
            self._begin(slot, lambda: programs.start(slot, generation, of(generation)))
        elif fork:
            mold, order = self.molds[generation], fork_order(slot, generation, next(self._serials))
            self._begin(slot, lambda: self._platform.fork(mold, order))
        else:
            self._begin(
                slot,
                lambda: self._platform.spawn(worker_order(of(generation), slot, generation)),
            )

    def forget_generations(self) -> None:
        """Close what the processes of a generation inherit, once the pool has forgotten it."""
        self._generations.forget_all_but(self._pool.members.generations)

    def _begin(self, process: Process, start: Callable[[], Child]) -> None:
        # Before the process exists: from then on its row is its own.
        self._scoreboard.prepare(self._pool.members.record_of(process))
        try:
            child = start()
        except OSError as error:
            self._fail_to_spawn(process, error.strerror or str(error))
            return
        if child.slot is None:
            self.molds[child.generation] = child
        else:
            self.by_slot[child.slot] = child
        self._channels.watch(child)
        if child.pid is not None:
            self.events.started(child)

    def _fail_to_spawn(self, process: Process, reason: str) -> None:
        if self._pool.state != "stopping":  # then it is not missed
            name = {"mold": True} if isinstance(process, Mold) else {"slot": process}
            self._log.error("worker not started", **name, reason=reason)
        self._scoreboard.vacate(process)
        self._pool.apply(SpawnFailed(process, reason), self._platform.now())

    def _child(self, process: Process) -> Child:
        if isinstance(process, Mold):
            return self.molds[process.generation]
        return self.by_slot[process]

    def _all(self) -> list[Child]:
        return [*self.by_slot.values(), *self.molds.values()]

    def count_as_ready(self, slot: int) -> None:
        """Count a program as ready that has reported nothing."""
        assert self.programs is not None
        self.programs.count_as_ready(self.by_slot[slot])

    def drain(self, process: Process) -> None:
        """Ask a process to finish and leave."""
        child = self._child(process)
        if isinstance(process, Mold):
            self._channels.disconnect(child)  # it ends when its channel does
            return
        reason = self._pool.members.record_of(process).leaving_for
        self._log.info("worker draining", **fields(child), reason=reason)
        if self.programs is not None:
            self.programs.drain(child)
        else:
            self._platform.send(child, messages.DRAIN)
        if self._platform.few_sockets:
            self._channels.ignore(child)  # what it still sends is read at its end

    def nudge(self, slot: int) -> None:
        """Wake a draining worker again."""
        self._platform.wake(self.by_slot[slot])

    def abort(self, slot: int) -> None:
        """Have a hung program print its stacks and end."""
        assert self.programs is not None
        self.programs.abort(self.by_slot[slot])

    def kill(self, process: Process) -> None:
        """End a process now."""
        self._platform.kill(self._child(process))

    def reopen_logs(self) -> None:
        """Hand the log's new file to every process; workers started later get the mold's."""
        for child in self._all():
            if not child.program:  # it writes to its pipes
                self._platform.hand_over(child, messages.REOPEN, [self._log.fd])

    def deadline(self) -> float | None:
        """Return when to look next; None if nothing is due."""
        due = [self.inspector.deadline(), self.programs.deadline() if self.programs else None]
        return min((moment for moment in due if moment is not None), default=None)

    def look(self, now: float) -> None:
        """Do what is due."""
        self.inspector.look(now)
        if self.programs is not None:
            self.programs.look(now)

    def inspect(self, process: Process, now: float) -> None:
        """Record the incident of a hung process."""
        child = self._child(process)
        held = self._scoreboard.held_by(child, now)
        held["state"] = str(self._pool.members.record_of(process).state)
        self.inspector.inspect(child, now, partial(self.events.hung, child, held))

    def reap(self) -> None:
        """Report children that ended, were stopped or continue."""
        for notice in self._platform.reap(refresh=self._read_molds):
            if notice.ended is not None:
                self._end(notice.child, notice.ended)
            elif notice.stopped:
                self.events.suspended(notice.child)
            else:
                self.events.resumed(notice.child)

    def _end(self, child: Child, status: ExitStatus) -> None:
        self._channels.read(child)  # its messages from before it died
        if self.programs is not None:
            self.programs.read_rest(child)
        if status.signal == "SIGKILL" and not child.doomed and self._platform.killed_for_memory():
            status = ExitStatus(signal=status.signal, out_of_memory=True)
        counted = self._scoreboard.counted(child)
        self._log.info(
            "mold exited" if child.slot is None else "worker exited",
            **fields(child),
            status=status,
            cause=self._pool.cause_of(child.key, status),
            accepted=counted.accepted,
            after=self._scoreboard.age(child, self._platform.now()),
        )
        self._forget(child)
        if child.slot is None:
            self._pool.apply(MoldExited(child.generation, status), self._platform.now())
            self._fail_orders(child)
        else:
            # What a program does not report is unknown.
            accepted = None if child.program and not counted.accepted else counted.accepted
            self._pool.apply(WorkerExited(child.slot, status, accepted), self._platform.now())

    def _fail_orders(self, mold: Child) -> None:
        """Give up the orders that a dead mold has not carried out."""
        for child in list(self.by_slot.values()):
            if child.pid is None and child.generation == mold.generation:
                self._forget(child)
                self._fail_to_spawn(child.key, "the mold died before it forked the worker")

    def _forget(self, child: Child) -> None:
        self.inspector.forget(child)
        self._channels.disconnect(child)
        if self.programs is not None:
            self.programs.forget(child)
        self._scoreboard.vacate(child.key)
        child.close()
        if child.slot is None:
            del self.molds[child.generation]
        else:
            del self.by_slot[child.slot]

    def _read_molds(self) -> None:
        for mold in list(self.molds.values()):
            self._channels.read(mold)

    def _note_end_of_channel(self, child: Child) -> None:
        if self.programs is not None:
            self.programs.runs(child)

    def _handle_message(self, child: Child, line: bytes) -> None:
        now = self._platform.now()
        try:
            message = messages.decode(line)
        except ProtocolError as error:
            self._log.warning("message not understood", **fields(child), reason=str(error))
            return
        match message:
            case messages.Forked() | messages.NotForked():
                self._handle_fork_result(message)
            case messages.Loaded():
                self._pool.apply(TargetLoaded(child.key), now)
            case messages.Ready(pid, kind, capacity, event_loop):
                self._identify(child, pid)
                self.events.kind(kind, capacity, event_loop=event_loop)
                if kind:
                    self.events.ready(child, capacity, event_loop, now)
                else:
                    self.events.ready(child, None, None, now)
            case messages.NotInherited():
                self._platform.hand_over(
                    child, b"", self._generations.of(child.generation).listeners
                )
            case messages.Unsafe(reason):
                self._pool.apply(ForkRefused(child.generation, reason), now)
            case messages.Failed(pid, reason, traceback):
                self._identify(child, pid)
                self.events.load_failure(child, reason, traceback)

    def _handle_fork_result(self, message: messages.Forked | messages.NotForked) -> None:
        """Note what became of an order to the mold."""
        ordered = self._ordered(message.serial)
        if ordered is None:
            return
        if isinstance(message, messages.Forked):
            self._identify(ordered, message.pid)
        else:
            self._forget(ordered)
            self._fail_to_spawn(ordered.key, message.reason)

    def _ordered(self, serial: int) -> Child | None:
        """Return the worker of an order; None if it has ended before its mold reported it."""
        children = self.by_slot.values()
        return next((each for each in children if each.serial == serial), None)

    def _identify(self, child: Child, pid: int) -> None:
        """Note the process of a forked worker, which it reports itself, or its mold before it."""
        if child.pid is None:
            self._platform.adopt(child, pid)
            self.events.started(child)
