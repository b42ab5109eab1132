"""Turns a fresh process, forked or spawned, into a worker."""

import atexit
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn

from prefork.errors import HandlerError
from prefork.kinds.shapes import KINDS
from prefork.kinds.targets import Handler, Target
from prefork.logs import log
from prefork.worker.accept.datagrams import datagram_handler
from prefork.worker.accept.gate import Gate
from prefork.worker.context import Means, WorkerContext
from prefork.worker.counters import Counters, SingleCounters, ThreadedCounters
from prefork.worker.loading import failure, made, ready
from prefork.worker.servers import request_handler
from prefork.worker.stream import serve, serve_threaded

if sys.platform == "win32":
    from prefork.worker.windows import Station
else:
    from prefork.worker.posix import Station


class Worker:
    """A worker process, from its start to its end."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self.plan = station.plan
        self.channel = station.channel

    def run(self, target: Target | Handler) -> int:
        """Serve until it is time to leave; return the exit status.

        ``target`` is a handler if the mold has made it.
        """
        try:
            handler = target
            if not isinstance(handler, Handler):
                handler = made(handler, self.plan, self.station.datagrams)
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
        gate, row = self.station.gate(), self.station.row
        counters: Counters = SingleCounters(row) if threads == 1 else ThreadedCounters(row)
        if handler.kind == "program":
            return self._run_program(handler, gate, counters)
        function = handler.target
        if handler.kind == "socketserver":
            function = request_handler(handler.target, self.station.listeners[0])
        elif handler.kind == "datagram":
            function = datagram_handler(handler.target)
        self.channel.tell(ready(handler, self.plan))
        if threads == 1:
            serve(gate, function, counters)
        else:
            serve_threaded(gate, function, counters, threads)
        return 0

    def _run_loop(self, handler: Handler) -> int:
        # Only here: asyncio costs memory and time that no other kind needs to spend.
        from prefork.worker.loop.worker import LoopWorker

        return LoopWorker(self.station).run(handler, ready(handler, self.plan))

    def _run_program(self, handler: Handler, gate: Gate, counters: Counters) -> int:
        context = WorkerContext(
            slot=self.station.slot,
            generation=self.plan.generation,
            listeners=self.station.listeners,
            means=Means(self.channel, gate, counters, ready(handler, self.plan)),
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
