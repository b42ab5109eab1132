"""The arbiter's processes: started, heard, ended, and each step of their lives logged once."""

import contextlib
import selectors
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from prefork.arbiter.child_events import News, fields
from prefork.arbiter.programs.programs import Conduct, Programs
from prefork.arbiter.scoreboard_writer import Board
from prefork.core.events import (
    ForkRefused,
    SpawnFailed,
    TargetLoaded,
    WorkerExited,
)
from prefork.core.pool import Pool
from prefork.core.states import MOLD, ExitStatus
from prefork.errors import ProtocolError
from prefork.incidents import Inspector
from prefork.ipc import messages as wire
from prefork.logs.log import Log
from prefork.platform.child import Child, Notice
from prefork.platform.linux import OutOfMemoryKills
from prefork.platform.system import Backend


@dataclass(frozen=True, slots=True)
class Birth:
    """What every child is born with, and where what is found out about its end is written."""

    plan: int  #: descriptor
    inherited: Sequence[int]  #: the listeners' descriptors
    incidents: Path | None  #: directory
    loop_maximum: int | None = None  #: of the pool, where nobody has said one: for event loops
    conduct: Conduct | None = None  #: how programs are treated; None if the workers are ours


class Children:
    """All living children of the arbiter, by slot."""

    def __init__(
        self,
        pool: Pool,
        backend: Backend,
        board: Board,
        selector: selectors.BaseSelector,
        log: Log,
        birth: Birth,
    ) -> None:
        self.by_slot: dict[int, Child] = {}
        self.inspector = Inspector(backend)
        self._pool = pool
        self._backend = backend
        self.board = board
        self._selector = selector
        self._log = log
        self._birth = birth
        self._memory = OutOfMemoryKills()
        self.news = News(pool, board, log, birth.incidents, birth.loop_maximum)
        self.programs: Programs | None = None
        if birth.conduct is not None:
            self.programs = Programs(self.news, backend, selector, birth.conduct)

    def start_mold(self, generation: int) -> None:
        """Start the mold."""
        self._begin(MOLD, lambda: self._backend.start_mold(generation, self._birth.plan, MOLD))

    def start(self, slot: int, generation: int, *, fork: bool) -> None:
        """Start a worker: a program, by an order to the mold, or as a fresh interpreter."""
        if (programs := self.programs) is not None:
            self._begin(slot, lambda: programs.start(slot, generation))
        elif fork:
            mold = self.by_slot[MOLD]
            self._begin(slot, lambda: self._backend.order(mold, slot, generation))
        else:
            self._begin(
                slot,
                lambda: self._backend.spawn(
                    slot, generation, self._birth.plan, self._birth.inherited
                ),
            )

    def _begin(self, slot: int, start: Callable[[], Child]) -> None:
        # Before the process exists: from then on its row is its own.
        self.board.prepare(self._pool.records[slot])
        try:
            child = start()
        except OSError as error:
            self._fail_to_spawn(slot, error.strerror or str(error))
            return
        self.by_slot[slot] = child
        self._selector.register(child.channel, selectors.EVENT_READ, partial(self._hear, child))
        if child.pid is not None:
            self.news.started(child)

    def _fail_to_spawn(self, slot: int, reason: str) -> None:
        if self._pool.state != "stopping":  # then it is not missed
            self._log.error("worker not started", **self._name(slot), reason=reason)
        self.board.vacate(slot)
        self._pool.apply(SpawnFailed(slot, reason), monotonic())

    def drain(self, slot: int) -> None:
        """Ask a worker, or the mold, to finish and leave."""
        child = self.by_slot[slot]
        if slot == MOLD:
            self._silence(child)  # it ends when its channel does
            return
        reason = self._pool.records[slot].leaving_for
        self._log.info("worker draining", **fields(child), reason=reason)
        if self.programs is not None:
            self.programs.drain(child)
        else:
            self._backend.drain(child)
        if sys.platform == "win32":
            self._ignore(child)  # its last words are read at its end; select() takes 512 sockets

    def nudge(self, slot: int) -> None:
        """Wake a draining worker again."""
        self._backend.nudge(self.by_slot[slot])

    def kill(self, slot: int) -> None:
        """End a process; one that hangs, and could still say something, with a moment for that."""
        child, record = self.by_slot[slot], self._pool.records[slot]
        if self.programs is not None and record.inspected and record.suspended_at is None:
            self.programs.abort(child)
        else:
            self._backend.kill(child)

    def reopen_logs(self) -> None:
        """Hand the log's new file to every process; workers to come get the mold's."""
        for child in self.by_slot.values():
            if not child.program:  # it writes to its pipes
                self._backend.hand_over_log(child, self._log.fd)

    def deadline(self) -> float | None:
        """Return when to look next; None if nothing is due."""
        due = [self.inspector.deadline(), self.programs.deadline() if self.programs else None]
        return min((moment for moment in due if moment is not None), default=None)

    def look(self, now: float) -> None:
        """Do what is due."""
        self.inspector.look(now)
        if self.programs is not None:
            self.programs.look(now)

    def inspect(self, slot: int, now: float) -> None:
        """Record the incident of a hung process."""
        child = self.by_slot[slot]
        held = self.board.held_by(child, now) if slot != MOLD else {}
        held["state"] = str(self._pool.records[slot].state)
        self.inspector.inspect(child, now, partial(self.news.hung, child, held))

    def reap(self) -> None:
        """Take note of children that ended, were stopped or go on."""
        for notice in self._backend.reap(refresh=self._hear_mold):
            self._heed(notice)

    def _heed(self, notice: Notice) -> None:
        child = notice.child
        if notice.ended is not None:
            self._end(child, notice.ended)
        elif notice.stopped:
            self.news.suspended(child)
        else:
            self.news.resumed(child)

    def _end(self, child: Child, status: ExitStatus) -> None:
        self._hear(child)  # what it said before it died
        if self.programs is not None:
            self.programs.last_words(child)
        slot = child.slot
        if status.signal == "SIGKILL" and not child.doomed and self._memory.happened():
            status = ExitStatus(signal=status.signal, out_of_memory=True)
        counted = self.board.counted(child)
        self._log.info(
            "worker exited" if slot != MOLD else "mold exited",
            **fields(child),
            status=status,
            cause=self._pool.cause_of(slot, status),
            accepted=counted.accepted,
            after=self.board.age(child, monotonic()),
        )
        self._forget(child)
        # What a program does not say, nobody knows.
        accepted = None if child.program and not counted.accepted else counted.accepted
        self._pool.apply(WorkerExited(slot, status, accepted), monotonic())
        if slot == MOLD:
            self._fail_unborn()

    def _fail_unborn(self) -> None:
        """Give up the orders that a dead mold has taken along."""
        for child in [child for child in self.by_slot.values() if child.pid is None]:
            self._forget(child)
            self._fail_to_spawn(child.slot, "the mold died before it forked the worker")

    def _forget(self, child: Child) -> None:
        self.inspector.forget(child)
        self._silence(child)
        if self.programs is not None:
            self.programs.forget(child)
        self.board.vacate(child.slot)
        child.close()
        del self.by_slot[child.slot]

    def _silence(self, child: Child) -> None:
        """Close the channel; the process may live on for a moment."""
        self._ignore(child)
        child.channel.close()

    def _ignore(self, child: Child) -> None:
        if child.channel.fileno() >= 0:
            with contextlib.suppress(KeyError):  # it was before
                self._selector.unregister(child.channel)

    def _hear_mold(self) -> None:
        if MOLD in self.by_slot:
            self._hear(self.by_slot[MOLD])

    def _hear(self, child: Child) -> None:
        """Read what ``child`` has to say; the end of its channel is no notice of its death."""
        while child.channel.fileno() >= 0:
            try:
                data = child.channel.recv(1 << 18)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._silence(child)
                if self.programs is not None:
                    self.programs.runs(child)
                return
            for line in child.lines.feed(data):
                self._heed_message(child, line)

    def _heed_message(self, child: Child, line: bytes) -> None:
        now = monotonic()
        try:
            message = wire.decode(line)
        except ProtocolError as error:
            self._log.warning("message not understood", **fields(child), reason=str(error))
            return
        match message:
            case wire.Forked() | wire.NotForked():
                self._heed_order(message)
            case wire.Loaded():
                self._pool.apply(TargetLoaded(child.slot), now)
            case wire.Ready(pid, kind, capacity):
                self._bear(child, pid)
                self.news.kind(kind, capacity, now)
                self.news.ready(child, capacity if kind else None, now)
            case wire.NotInherited():
                self._backend.share(child, self._birth.inherited)
            case wire.Unsafe(reason):
                self._pool.apply(ForkRefused(reason), now)
            case wire.Failed(pid, reason, traceback):
                self._bear(child, pid)
                self.news.load_failure(child, reason, traceback)

    def _heed_order(self, message: wire.Forked | wire.NotForked) -> None:
        """Take note of what became of an order to the mold."""
        unborn = self._ordered(message.serial)
        if unborn is None:
            return
        if isinstance(message, wire.Forked):
            self._bear(unborn, message.pid)
        else:
            self._forget(unborn)
            self._fail_to_spawn(unborn.slot, message.reason)

    def _ordered(self, serial: int) -> Child | None:
        """Return the worker of an order; it may have told of itself, and died, before its mold."""
        children = self.by_slot.values()
        return next((each for each in children if each.serial == serial), None)

    def _bear(self, child: Child, pid: int) -> None:
        """Note the process of a forked worker, from whoever tells first: it, or its mold."""
        if child.pid is None:
            self._backend.born(child, pid)
            self.news.started(child)

    def _name(self, slot: int) -> dict[str, Any]:
        return {"slot": slot} if slot != MOLD else {"mold": True}
