"""A worker without an arbiter of ours: it serves a handler under a parent of the original kind.

Such a parent makes a named mutex and a listening socket, and starts ``PROGRAM <handle>`` so many
times.  Run as ``python -m prefork.worker.guest [options] HANDLE…``, the name in such parents'
code, or by ``main`` from a program of the user's own; ends when its parent does, or by Ctrl-Break.
"""

import argparse
import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from prefork.errors import HandlerError, PreforkError, SettingsError
from prefork.ipc.layout import Row
from prefork.kinds.shapes import check_addresses
from prefork.kinds.targets import load
from prefork.logs import log
from prefork.logs.log import LEVELS, Log
from prefork.platform.standard_streams import fill_standard_streams
from prefork.platform.windows.api import Console, Event, Mutex, RegisteredWait, WaitCallback, Waits
from prefork.platform.windows.sockets import adopted
from prefork.platform.windows.system import opened_process
from prefork.worker.accept.listeners import InheritedListener
from prefork.worker.accept.windows import GuestGate
from prefork.worker.counters import SingleCounters
from prefork.worker.servers import request_handler
from prefork.worker.stream import serve

#: The kinds that take one connection at a time.
_KINDS: Final = ("stream", "socketserver")

#: Seconds that the end waits for a slow reader of the log.
LAST_WORDS: Final = 1.0

#: Windows ends us as soon as the console's thread is back from these.
_LAST: Final = (Console.CLOSE, Console.LOGOFF, Console.SHUTDOWN)


class Departure:
    """When to leave: our parent is gone, or the console says so."""

    def __init__(self) -> None:
        self.stop = Event.create()  #: it is time to leave
        self._finished = Event.create()
        # What the system calls, in threads of its own, lives as long as this.
        self._console = Console(self._hear)
        self._callback = WaitCallback(lambda *_: self.stop.set())
        try:
            self._parent = opened_process(os.getppid())
        except OSError:
            self.stop.set()  # gone already
        else:
            self._wait = RegisteredWait(self._parent.value, self._callback, 0)

    def finish(self) -> None:
        """Say that nothing is left to be done."""
        self._finished.set()

    def _hear(self, event: int) -> None:
        self.stop.set()
        if event in _LAST:
            Waits([self._finished.value]).wait()


def main(argv: Sequence[str] | None = None) -> int:
    """Serve as the command line says, or ``argv`` in its place; return the exit status."""
    fill_standard_streams()
    words = _parser().parse_args(argv)
    try:
        return _serve(words)
    except PreforkError as error:
        for line in str(error).splitlines():
            print(f"prefork: {line}", file=sys.stderr)  # noqa: T201
        return 4 if isinstance(error, HandlerError) else 2


def _parser() -> argparse.ArgumentParser:
    said = os.environ.get
    parser = argparse.ArgumentParser("prefork.worker.guest", description=__doc__)
    parser.add_argument("handles", nargs="+", type=int, metavar="HANDLE")
    parser.add_argument("--target", default=said("PREFORK_TARGET"))
    parser.add_argument(
        "--accept-mutex-name", metavar="NAME", default=said("PREFORK_ACCEPT_MUTEX_NAME")
    )
    parser.add_argument("--log-level", default=said("PREFORK_LOG_LEVEL", "info"))
    return parser


def _serve(words: argparse.Namespace) -> int:
    """Serve until it is time to leave.  Raises SettingsError and HandlerError."""
    missing = [
        f"a guest needs {flag}, or {variable} in its environment"
        for flag, variable, value in (
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
    function = _function(words.target, listeners)
    departure = Departure()
    row = Row(memoryview(bytearray(Row.size)))  # nobody reads it
    serve(GuestGate(listeners, departure.stop, mutex, _complain), function, SingleCounters(row))
    log.current().finish(LAST_WORDS)
    departure.finish()
    return 0


def _listener(handle: int) -> socket.socket:
    try:
        os.set_handle_inheritable(handle, False)  # the handler may start programs
        return adopted(handle, InheritedListener)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError([f"the handle {handle} is no inherited socket: {reason}"]) from error


def _function(target: str, listeners: Sequence[socket.socket]) -> Callable[[Any, Any], object]:
    """Return what to call with each connection; raises HandlerError."""
    handler = load(target)
    check_addresses(handler.target, handler.kind, [False for _ in listeners], handler.name)
    if handler.kind not in _KINDS:
        raise HandlerError(
            f"{handler.name} is of the kind {handler.kind}; a guest serves {' and '.join(_KINDS)}"
        )
    if handler.kind == "socketserver":
        return request_handler(handler.target, listeners[0])
    function: Callable[[Any, Any], object] = handler.target
    return function


def _complain(reason: str) -> None:
    log.current().warning("cannot accept", pid=os.getpid(), reason=reason)


if __name__ == "__main__":
    sys.exit(main())
