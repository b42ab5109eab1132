"""Turns a fresh process, forked or spawned, into a worker."""

import atexit
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from prefork.errors import HandlerError
from prefork.kinds.base import LoopConnection
from prefork.kinds.targets.finding import LoadedHandler, Target
from prefork.logs import log
from prefork.worker.connection import Connections, Step, preparation_limit
from prefork.worker.context import ContextParts, WorkerContext
from prefork.worker.counters import Counters, LoopCounters, SingleCounters, ThreadedCounters
from prefork.worker.loading import failure, made, ready
from prefork.worker.resources import Resources
from prefork.worker.serving import serve, serve_threaded


class WorkerProcess:
    """A worker process, from its start to its end; its kind calls what is offered to kinds."""

    def __init__(self, resources: Resources, steps: Sequence[Step] = ()) -> None:
        """Prepare connections by ``steps`` before their handler gets them."""
        self.resources = resources
        self.plan = resources.plan
        self.channel = resources.channel
        self.listeners = resources.listeners
        self._steps = steps
        self._handler: LoadedHandler

    def run(self, target: Target | LoadedHandler) -> int:
        """Serve until it is time to leave; return the exit status.

        ``target`` is a handler if the mold has made it.
        """
        try:
            self._handler = (
                target
                if isinstance(target, LoadedHandler)
                else made(target, self.plan, self.resources.datagrams)
            )
        except BaseException as error:  # noqa: BLE001 (the user's factory)
            reason = error if isinstance(error, HandlerError) else f"{target.name} raised {error!r}"
            self.channel.send(failure(str(reason), error))
            return 4
        status = self._handler.kind.serve(self, self._handler)
        _join_threads()
        return status

    def serve_each(self, function: Callable[[Any, Any], object]) -> int:
        """Call ``function`` with each connection, or datagram; in threads if there are several."""
        threads = self.plan.settings.threads
        gate, connections = self.resources.gate(), self._connections(self._blocking_counters())
        self._report_ready()
        if threads == 1:
            serve(gate, function, connections)
        else:
            serve_threaded(gate, function, connections, threads)
        return 0

    def serve_in_loop(self, converse: Callable[[LoopConnection], Awaitable[object]]) -> int:
        """Await ``converse`` for each connection, in a task of its own of one event loop."""
        # Only here: asyncio costs memory and time that no other kind needs to spend.
        from prefork.worker.loop.worker import serve_in_loop

        counters = LoopCounters(self.resources.row)
        return serve_in_loop(
            self.resources, converse, counters, self._connections(counters), self._report_ready
        )

    def run_program(self, program: Callable[[Any], object]) -> int:
        """Call ``program`` once, with a WorkerContext; what it raises ends the worker."""
        context = WorkerContext(
            slot=self.resources.slot,
            generation=self.plan.generation,
            listeners=self.listeners,
            parts=ContextParts(
                channel=self.channel,
                gate=self.resources.gate(),
                connections=self._connections(self._blocking_counters()),
                report_ready=self._report_ready,
            ),
        )
        try:
            program(context)
        except SystemExit as error:
            return error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException as error:  # noqa: BLE001 (the user's program)
            # A program that accepts for itself meets a listener that fails once we are to leave.
            if not (isinstance(error, OSError) and context.stopping):
                log.current().exception("program failed", error, pid=os.getpid())
                return 1
        return 0

    def _report_ready(self) -> None:
        self.channel.send(ready(self._handler, self.plan))

    def _blocking_counters(self) -> Counters:
        row = self.resources.row
        return SingleCounters(row) if self.plan.settings.threads == 1 else ThreadedCounters(row)

    def _connections(self, counters: Counters) -> Connections:
        return Connections(counters, self._steps, preparation_limit(self.plan.settings.timeout))


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
