"""Turns a fresh process, forked or spawned, into a worker."""

import atexit
import faulthandler
import os
import socket
import sys
import threading
from contextlib import suppress
from typing import NoReturn

from prefork import log, wire
from prefork.backends.linux import signal_on_parents_death
from prefork.backends.title import show_as
from prefork.errors import HandlerError
from prefork.handlers import Handler, Target
from prefork.kinds import KINDS
from prefork.scoreboard import Scoreboard
from prefork.worker.channel import Channel
from prefork.worker.context import Means, WorkerContext
from prefork.worker.datagram import datagram_handler, inherit
from prefork.worker.gate import BlockingGate, ExclusiveGate, FileMutex, Gate, MutexGate
from prefork.worker.identity import catch_dumps, restore_signals_in_forks
from prefork.worker.loading import failure, made, ready
from prefork.worker.plan import Plan
from prefork.worker.servers import request_handler
from prefork.worker.stream import serve, serve_threaded
from prefork.worker.tally import SharedTally, SoleTally, Tally


class Worker:
    """A worker process, from its start to its end."""

    def __init__(self, plan: Plan, slot: int, channel: socket.socket, dump: int) -> None:
        self.plan = plan
        self.slot = slot
        self.dump = dump
        catch_dumps(dump)
        self.board = Scoreboard.open(plan.scoreboard, writable=True)
        self.row = self.board.row(slot)
        self.channel = Channel(channel, self.row)
        self.channel.attend_on_signal()
        signal_on_parents_death(wire.NUDGE)
        self._mutex: FileMutex | None = None
        self.listeners = inherit(
            plan.listeners, wait=plan.accept == "blocking", screened=plan.screened
        )
        self.channel.close_when_orphaned(self.listeners, self._limit_orphans_life)
        os.register_at_fork(after_in_child=self._let_go)
        restore_signals_in_forks()
        # Our parent may have died before the kernel knew that we want to hear of it.
        self.channel.attend()
        show_as(f"worker {slot}", plan.settings.name, plan.generation)

    def run(self, target: Target) -> int:
        """Serve until it is time to leave; return the exit status."""
        try:
            handler = made(target, self.plan)
        except BaseException as error:  # noqa: BLE001 (the user's factory)
            reason = error if isinstance(error, HandlerError) else f"{target.name} raised {error!r}"
            self.channel.tell(failure(str(reason), error))
            return 4
        status = self._serve(handler)
        _join_threads()
        return status

    def _serve(self, handler: Handler) -> int:
        threads = self.plan.settings.threads
        if KINDS[handler.kind].event_loop:
            return self._run_loop(handler)
        gate = self._gate()
        tally: Tally = SoleTally(self.row) if threads == 1 else SharedTally(self.row)
        if handler.kind == "program":
            return self._run_program(handler, gate, tally)
        function = handler.target
        if handler.kind == "socketserver":
            function = request_handler(handler.target, self.listeners[0])
        elif handler.kind == "datagram":
            function = datagram_handler(handler.target)
        self.channel.tell(ready(handler, self.plan))
        if threads == 1:
            serve(gate, function, tally)
        else:
            serve_threaded(gate, function, tally, threads)
        return 0

    def _run_loop(self, handler: Handler) -> int:
        # Only here: asyncio costs memory and time that no other kind needs to spend.
        from prefork.worker.loopworker import LoopWorker

        worker = LoopWorker(
            self.plan, self.slot, self.channel, self.listeners, self.board, self.dump
        )
        return worker.run(handler, ready(handler, self.plan))

    def _run_program(self, handler: Handler, gate: Gate, tally: Tally) -> int:
        context = WorkerContext(
            slot=self.slot,
            generation=self.plan.generation,
            listeners=self.listeners,
            means=Means(self.channel, gate, tally, ready(handler, self.plan)),
        )
        try:
            handler.target(context)
        except SystemExit as error:
            return error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException as error:  # noqa: BLE001 (the user's program)
            # A program that accepts for itself meets a listener that has become deaf.
            if not (isinstance(error, OSError) and context.stopping):
                log.current().exception("program failed", error, pid=os.getpid())
                return 1
        return 0

    def _gate(self) -> Gate:
        match self.plan.accept:
            case "blocking":
                return BlockingGate(self.listeners[0], self.channel)
            case "exclusive":
                return ExclusiveGate(self.listeners, self.channel)
        assert self.plan.mutex is not None
        self._mutex = FileMutex(self.plan.mutex, self.plan.settings.accept_mutex)
        self._mutex.release_when_leaving(self.channel)
        return MutexGate(self.listeners, self.channel, self._mutex)

    def _let_go(self) -> None:
        """Keep nothing in a process that the user's code forks: it would keep it beyond our end.

        That is the port, and the accept mutex: a lock by flock lasts as long as any copy of its
        open file.
        """
        for listener in self.listeners:
            listener.close()
        if self._mutex is not None:
            self._mutex.close()
        self.channel.close()

    def _limit_orphans_life(self) -> None:
        """End within graceful-timeout, whatever holds us, when no arbiter is there to see to it."""
        patience = max(self.plan.settings.graceful_timeout, 0.001)
        faulthandler.dump_traceback_later(patience, exit=True, file=self.dump)


def finish(status: int) -> NoReturn:
    """End a forked process as an interpreter would end, without returning into the mold."""
    atexit._run_exitfuncs()
    log.current().flush()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def _join_threads() -> None:
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
