"""A worker without an arbiter of ours: it serves a handler under a parent of the original kind.

Such a parent makes a named mutex and a listening socket, and starts ``PROGRAM <handle>`` so many
times.  Run as ``python -m prefork.worker.foreign_parent [options] HANDLE…`` (such parents' code may
have its old name, ``prefork.worker.guest``), or by ``main`` from a program of the user's own; ends
when its parent does, or by Ctrl-Break.
"""

import argparse
import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from prefork.errors import HandlerError, PreforkError, SettingsError
from prefork.ipc.layout import Row
from prefork.kinds.targets.finding import LoadedHandler, load
from prefork.kinds.targets.fitting import check_addresses
from prefork.logs import log
from prefork.logs.log import LEVELS, Log
from prefork.platform.standard_streams import fill_standard_streams
from prefork.platform.windows.api import Console, Event, Mutex, RegisteredWait, WaitCallback, Waits
from prefork.platform.windows.sockets import adopted
from prefork.platform.windows.system import opened_process
from prefork.worker.accept.listeners import InheritedListener
from prefork.worker.accept.windows import ForeignPeersGate
from prefork.worker.connection import Connections
from prefork.worker.counters import SingleCounters
from prefork.worker.serving import serve

#: Seconds that the end waits for a slow reader of the log.
FLUSH_TIMEOUT: Final = 1.0

#: Windows ends us as soon as the console's thread is back from these.
_LAST: Final = (Console.CLOSE, Console.LOGOFF, Console.SHUTDOWN)


class TimeToLeave:
    """When to leave: our parent is gone, or the console is closed."""

    def __init__(self) -> None:
        self.stop = Event.create()  #: it is time to leave
        self._finished = Event.create()
        # What the system calls, in threads of its own, lives as long as this.
        self._console = Console(self._on_console_event)
        self._callback = WaitCallback(lambda *_: self.stop.set())
        try:
            self._parent = opened_process(os.getppid())
        except OSError:
            self.stop.set()  # gone already
        else:
            self._wait = RegisteredWait(self._parent.value, self._callback, 0)

    def finish(self) -> None:
        """Note that nothing is left to be done."""
        self._finished.set()

    def _on_console_event(self, event: int) -> None:
        self.stop.set()
        if event in _LAST:
            Waits([self._finished.value]).wait()


def main(argv: Sequence[str] | None = None) -> int:
    """Serve as the command line asks for, or ``argv`` in its place; return the exit status."""
    fill_standard_streams()
    words = _parser().parse_args(argv)
    try:
        return _serve(words)
    except PreforkError as error:
        for line in str(error).splitlines():
            print(f"prefork: {line}", file=sys.stderr)  # noqa: T201
        return 4 if isinstance(error, HandlerError) else 2


def _parser() -> argparse.ArgumentParser:
    variable = os.environ.get
    parser = argparse.ArgumentParser("prefork.worker.guest", description=__doc__)
    parser.add_argument("handles", nargs="+", type=int, metavar="HANDLE")
    parser.add_argument("--target", default=variable("PREFORK_TARGET"))
    parser.add_argument(
        "--accept-mutex-name", metavar="NAME", default=variable("PREFORK_ACCEPT_MUTEX_NAME")
    )
    parser.add_argument("--log-level", default=variable("PREFORK_LOG_LEVEL", "info"))
    return parser


def _serve(words: argparse.Namespace) -> int:
    """Serve until it is time to leave.  Raises SettingsError and HandlerError."""
    missing = [
        f"a guest needs {flag}, or {name} in its environment"
        for flag, name, value in (
            ("--target", "PREFORK_TARGET", words.target),
            ("--accept-mutex-name", "PREFORK_ACCEPT_MUTEX_NAME", words.accept_mutex_name),
        )
        if not value
    ]
    if words.log_level not in LEVELS:
        missing.append(f"log-level cannot be {words.log_level!r}: one of {', '.join(LEVELS)}")
    if missing:
        raise SettingsError(missing)
    log.use(Log(words.log_level))
    mutex = Mutex.create(words.accept_mutex_name)
    if not mutex.existed:
        raise SettingsError(
            [f"there is no mutex {words.accept_mutex_name}: it is made by whoever starts a guest"]
        )
    listeners = [_listener(handle) for handle in words.handles]
    handler = load(words.target)
    check_addresses(handler, [False for _ in listeners])
    return handler.kind.serve(_Worker(listeners, mutex, handler), handler)


class _Worker:
    """What this worker offers to the kind that it serves: one connection at a time."""

    def __init__(
        self, listeners: Sequence[socket.socket], mutex: Mutex, handler: LoadedHandler
    ) -> None:
        self.listeners = listeners
        self._mutex = mutex
        self._handler = handler

    def serve_each(self, function: Callable[[Any, Any], object]) -> int:
        """Call ``function`` with each connection until it is time to leave."""
        time_to_leave = TimeToLeave()
        row = Row(memoryview(bytearray(Row.size)))  # it is never read
        gate = ForeignPeersGate(self.listeners, time_to_leave.stop, self._mutex)
        serve(gate, function, Connections(SingleCounters(row)))
        log.current().finish(FLUSH_TIMEOUT)
        time_to_leave.finish()
        return 0

    def run_program(self, program: object) -> int:
        """Refuse: raises HandlerError."""
        del program
        raise self._refusal()

    def serve_in_loop(self, converse: object) -> int:
        """Refuse: raises HandlerError."""
        del converse
        raise self._refusal()

    def _refusal(self) -> HandlerError:
        name, kind = self._handler.name, self._handler.kind.name
        return HandlerError(f"{name} is of the kind {kind}; a guest serves stream and socketserver")


def _listener(handle: int) -> socket.socket:
    try:
        os.set_handle_inheritable(handle, False)  # the handler may start programs
        return adopted(handle, InheritedListener)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError([f"the handle {handle} is no inherited socket: {reason}"]) from error


if __name__ == "__main__":
    sys.exit(main())
