"""How programs are started, asked to end and ended on POSIX systems."""

import contextlib
import functools
import os
import pwd
import selectors
import sys
from typing import Final

from prefork import worker
from prefork.arbiter.child_events import ChildEvents
from prefork.arbiter.generations import Inheritance
from prefork.arbiter.programs.notify import NotifySocketReader
from prefork.arbiter.programs.output import AT_ONCE, Output
from prefork.arbiter.programs.program import Program
from prefork.arbiter.programs.row import ProgramRow
from prefork.platform.base import Child, Platform, ProgramOrder
from prefork.platform.posix.programs import NotifySocket, output_pipe

_LAUNCHER: Final = (sys.executable, "-P", "-m", worker.LAUNCHER)


class Starter:
    """Starts programs by a launcher that becomes them, and sends them signals."""

    def __init__(
        self, events: ChildEvents, platform: Platform, selector: selectors.BaseSelector
    ) -> None:
        self.watch = selector  #: reports which outputs have something to read
        self._events = events
        self._platform = platform
        self._selector = selector

    def start(
        self, slot: int, generation: int, inheritance: Inheritance
    ) -> tuple[Program, list[Output]]:
        """Start what becomes the program in ``slot``; raises OSError."""
        settings = inheritance.settings
        user = _user_id(settings.user)  # that the program runs as
        with contextlib.ExitStack() as opened, contextlib.ExitStack() as theirs:
            notify = NotifySocket()
            opened.callback(notify.close)
            outputs, writers = [], []
            for stream in ("stdout", "stderr"):
                pipe, writer = output_pipe(user, AT_ONCE)
                theirs.callback(os.close, writer)
                outputs.append(Output(stream, pipe))
                opened.callback(outputs[-1].close)
                writers.append(writer)
            environ = {**os.environ, "NOTIFY_SOCKET": notify.address}
            child = self._platform.start_program(
                ProgramOrder(
                    slot=slot,
                    generation=generation,
                    argv=[*_LAUNCHER, "--slot", str(slot), "--plan", str(inheritance.plan)],
                    environ=environ,
                    outputs=(writers[0], writers[1]),
                    inherited=(
                        inheritance.plan,
                        *inheritance.listeners,
                        *inheritance.shared,
                    ),
                    launched=True,
                )
            )
            opened.pop_all()
        row = ProgramRow(self._events.scoreboard.row(slot), settings.timeout)
        program = Program(child, row, settings)
        senders = frozenset({0, os.geteuid(), user})
        program.notify = NotifySocketReader(self._events, self._selector, program, notify, senders)
        return program, outputs

    def ask_to_end(self, program: Program) -> None:
        """Send the signal that the settings name."""
        self._platform.signal(program.child, f"SIG{program.settings.stop_signal}")

    def abort(self, child: Child) -> None:
        """Have ``child``, which hangs, print its stacks, as many do on SIGABRT; so does systemd."""
        self._platform.signal(child, "SIGABRT")


@functools.cache  # a look-up may take its time
def _user_id(user: str | None) -> int:
    if user is None:
        return os.geteuid()
    if user.isdecimal():
        return int(user)
    with contextlib.suppress(KeyError):  # removed since; then no worker can become it either
        return pwd.getpwnam(user).pw_uid
    return os.geteuid()
