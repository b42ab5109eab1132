"""How programs are started, asked to end and ended on Windows.

What a launcher does on POSIX systems, in the program's own process, the arbiter does here: it
fills in the arguments and finds the program's file.  There is no way for a program to notify us,
and the variables of sd_listen_fds(3) would name descriptors, which are of POSIX: a program finds
its sockets by the handles in its arguments.
"""

import contextlib
import os
import selectors
from pathlib import Path
from typing import Final, NoReturn

from prefork.arbiter.child_events import News, fields
from prefork.arbiter.programs.output import AT_ONCE, Output
from prefork.arbiter.programs.program import Program
from prefork.arbiter.programs.row import ProgramRow
from prefork.arbiter.programs.settings import Conduct
from prefork.arbiter.programs.windows_pipes import PipeWatch
from prefork.core.events import LoadFailed, TargetLoaded
from prefork.errors import HandlerError
from prefork.platform.base import Child, Platform, ProgramOrder
from prefork.platform.lookup import find_program
from prefork.platform.windows.pipes import output_pipe
from prefork.worker.placeholders import Values, filled

#: Why CreateProcess will not start that file another time either.
_REASONS: Final = {
    2: "its file is gone",  # ERROR_FILE_NOT_FOUND
    3: "its directory is gone",  # ERROR_PATH_NOT_FOUND
    5: "access is denied",  # ERROR_ACCESS_DENIED
    11: "its file is damaged",  # ERROR_BAD_FORMAT
    193: "it is no program of Windows; a script is run by its interpreter",  # ERROR_BAD_EXE_FORMAT
    206: "its name or its arguments are too long",  # ERROR_FILENAME_EXCED_RANGE
    216: "it is made for another kind of machine",  # ERROR_EXE_MACHINE_TYPE_MISMATCH
    740: "it wants to be run as an administrator",  # ERROR_ELEVATION_REQUIRED
}


class Starter:
    """Starts programs, and sends them Ctrl-Break."""

    def __init__(
        self,
        news: News,
        platform: Platform,
        selector: selectors.BaseSelector,
        conduct: Conduct,
    ) -> None:
        self.watch = PipeWatch(selector)  #: tells which outputs have something to read
        self._news = news
        self._platform = platform
        self._conduct = conduct
        self._environ = environment(conduct.settings.env)
        self._told = False  #: that programs cannot be asked to end

    def start(self, slot: int, generation: int) -> tuple[Program, list[Output]]:
        """Start the program in ``slot``; raises OSError."""
        outputs, writers = [], []
        with contextlib.ExitStack() as opened, contextlib.ExitStack() as theirs:
            for stream in ("stdout", "stderr"):
                pipe, writer = output_pipe(AT_ONCE, self.watch.note)
                theirs.callback(os.close, writer)
                outputs.append(Output(stream, pipe))
                opened.callback(pipe.close)
                writers.append(writer)
            child = self._started(slot, generation, (writers[0], writers[1]))
            opened.pop_all()
        # There is no moment in which something of ours runs in its process.
        self._news.pool.apply(TargetLoaded(slot), self._news.clock())
        row = ProgramRow(self._news.scoreboard.row(slot), self._conduct.settings.timeout)
        return Program(child, row), outputs

    def ask_to_end(self, child: Child) -> None:
        """Send Ctrl-Break, if ``child`` and we have a console in common."""
        try:
            self._platform.signal(child, "SIGBREAK")
        except OSError as error:
            if not self._told:
                self._told = True
                why = (error.strerror or str(error)).rstrip(".")
                reason = f"Ctrl-Break cannot be sent ({why}); it is ended in due time"
                self._news.log.warning("program not asked to end", **fields(child), reason=reason)

    def abort(self, child: Child) -> None:
        """Do nothing: with no patience the pool never asks for it."""

    def _started(self, slot: int, generation: int, outputs: tuple[int, int]) -> Child:
        conduct = self._conduct
        program, *words = conduct.settings.command
        values = Values(conduct.inherited, conduct.port, slot)
        try:
            file = find_program(program, self._environ, Path.cwd())
        except HandlerError as error:
            self._refuse(slot, generation, str(error))
        argv = [str(file), *(filled(word, values) for word in words)]
        order = ProgramOrder(
            slot=slot,
            generation=generation,
            argv=argv,
            environ=self._environ,
            outputs=outputs,
            inherited=conduct.inherited,
        )
        try:
            return self._platform.start_program(order)
        except OSError as error:
            if error.winerror not in _REASONS:
                raise
            self._refuse(slot, generation, f"{program} cannot be run: {_REASONS[error.winerror]}")

    def _refuse(self, slot: int, generation: int, reason: str) -> NoReturn:
        """Say once that the program cannot be run; raises OSError, for this one is not."""
        news = self._news
        if not news.load_failure_told:
            news.load_failure_told = True
            where = {"slot": slot, "generation": generation}
            news.log.error("target cannot be loaded", **where, reason=reason)
        news.pool.apply(LoadFailed(slot, reason), self._news.clock())
        raise OSError(reason)


def environment(pairs: tuple[str, ...]) -> dict[str, str]:
    """Return our environment with what the settings add; the case of names does not matter."""
    added = (pair.partition("=") for pair in pairs)
    return {**os.environ, **{name.upper(): value for name, _, value in added}}
