"""How programs are started, asked to end and ended on POSIX systems."""

import contextlib
import os
import pwd
import selectors
import sys
from typing import Final

from prefork import worker
from prefork.arbiter.child_events import News
from prefork.arbiter.programs.notify import NotifyLetters
from prefork.arbiter.programs.output import AT_ONCE, Output
from prefork.arbiter.programs.program import Program
from prefork.arbiter.programs.row import ProgramRow
from prefork.arbiter.programs.settings import Conduct
from prefork.platform.base import Child, Platform, ProgramOrder
from prefork.platform.posix.programs import NotifySocket, output_pipe

_LAUNCHER: Final = (sys.executable, "-P", "-m", worker.LAUNCHER)


class Starter:
    """Starts programs by a launcher that becomes them, and sends them signals."""

    def __init__(
        self,
        news: News,
        platform: Platform,
        selector: selectors.BaseSelector,
        conduct: Conduct,
    ) -> None:
        settings = conduct.settings
        self.watch = selector  #: tells which outputs have something to read
        self._news = news
        self._platform = platform
        self._selector = selector
        self._conduct = conduct
        self._timeout = settings.timeout
        self._stop_signal = f"SIG{settings.stop_signal}"
        self._user = _user_id(settings.user)  #: that programs run as
        self._senders = frozenset({0, os.geteuid(), self._user})  #: their notifications count

    def start(self, slot: int, generation: int) -> tuple[Program, list[Output]]:
        """Start what becomes the program in ``slot``; raises OSError."""
        with contextlib.ExitStack() as opened, contextlib.ExitStack() as theirs:
            notify = NotifySocket()
            opened.callback(notify.close)
            outputs, writers = [], []
            for stream in ("stdout", "stderr"):
                pipe, writer = output_pipe(self._user, AT_ONCE)
                theirs.callback(os.close, writer)
                outputs.append(Output(stream, pipe))
                opened.callback(outputs[-1].close)
                writers.append(writer)
            environ = {**os.environ, "NOTIFY_SOCKET": notify.address}
            child = self._platform.start_program(
                ProgramOrder(
                    slot=slot,
                    generation=generation,
                    argv=[*_LAUNCHER, "--slot", str(slot), "--plan", str(self._conduct.plan)],
                    environ=environ,
                    outputs=(writers[0], writers[1]),
                    inherited=(
                        self._conduct.plan,
                        *self._conduct.inherited,
                        *self._conduct.shared,
                    ),
                    launched=True,
                )
            )
            opened.pop_all()
        program = Program(child, ProgramRow(self._news.scoreboard.row(slot), self._timeout))
        program.letters = NotifyLetters(self._news, self._selector, program, notify, self._senders)
        return program, outputs

    def ask_to_end(self, child: Child) -> None:
        """Send the signal that the settings name."""
        self._platform.signal(child, self._stop_signal)

    def abort(self, child: Child) -> None:
        """Have ``child``, which hangs, print its stacks, as many do on SIGABRT; so does systemd."""
        self._platform.signal(child, "SIGABRT")


def _user_id(user: str | None) -> int:
    if user is None:
        return os.geteuid()
    if user.isdecimal():
        return int(user)
    with contextlib.suppress(KeyError):  # removed since; then no worker can become it either
        return pwd.getpwnam(user).pw_uid
    return os.geteuid()
