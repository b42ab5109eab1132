"""How programs are started, asked to end and ended on Windows.

What a launcher does on POSIX systems, in the program's own process, the arbiter does here: it
fills in the arguments and finds the program's file.  A program has no way to notify us,
and the variables of sd_listen_fds(3) would name descriptors, which are of POSIX: a program finds
its sockets by the handles in its arguments.
"""

import contextlib
import os
import selectors
from pathlib import Path
from typing import Final, NoReturn

from prefork.arbiter.child_events import ChildEvents, fields
from prefork.arbiter.generations import Inheritance
from prefork.arbiter.programs.output import AT_ONCE, Output
from prefork.arbiter.programs.program import Program
from prefork.arbiter.programs.row import ProgramRow
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
        self, events: ChildEvents, platform: Platform, selector: selectors.BaseSelector
    ) -> None:
        self.watch = PipeWatch(selector)  #: reports which outputs have something to read
        self._events = events
        self._platform = platform
        self._warned = False  #: that programs cannot be asked to end

    def start(
        self, slot: int, generation: int, inheritance: Inheritance
    ) -> tuple[Program, list[Output]]:
        """Start the program in ``slot``; raises OSError."""
        outputs, writers = [], []
        with contextlib.ExitStack() as opened, contextlib.ExitStack() as theirs:
            for stream in ("stdout", "stderr"):
                pipe, writer = output_pipe(AT_ONCE, self.watch.note)
                theirs.callback(os.close, writer)
                outputs.append(Output(stream, pipe))
                opened.callback(pipe.close)
                writers.append(writer)
            child = self._started(slot, generation, inheritance, (writers[0], writers[1]))
            opened.pop_all()
        # There is no moment in which something of ours runs in its process.
        self._events.pool.apply(TargetLoaded(slot), self._events.clock())
        settings = inheritance.settings
        row = ProgramRow(self._events.scoreboard.row(slot), settings.timeout)
        return Program(child, row, settings), outputs

    def ask_to_end(self, program: Program) -> None:
        """Send Ctrl-Break, if the program and we have a console in common."""
        child = program.child
        try:
            self._platform.signal(child, "SIGBREAK")
        except OSError as error:
            if not self._warned:
                self._warned = True
                why = (error.strerror or str(error)).rstrip(".")
                reason = f"Ctrl-Break cannot be sent ({why}); it is ended in due time"
                self._events.log.warning("program not asked to end", **fields(child), reason=reason)

    def abort(self, child: Child) -> None:
        """Do nothing: with no patience the pool never asks for it."""

    def _started(
        self, slot: int, generation: int, inheritance: Inheritance, outputs: tuple[int, int]
    ) -> Child:
        program, *words = inheritance.settings.command
        environ = environment(inheritance.settings.env)
        values = Values(inheritance.listeners, inheritance.port, slot)
        try:
            file = find_program(program, environ, Path.cwd())
        except HandlerError as error:
            self._refuse(slot, generation, str(error))
        argv = [str(file), *(filled(word, values) for word in words)]
        order = ProgramOrder(
            slot=slot,
            generation=generation,
            argv=argv,
            environ=environ,
            outputs=outputs,
            inherited=inheritance.listeners,
        )
        try:
            return self._platform.start_program(order)
        except OSError as error:
            if error.winerror not in _REASONS:
                raise
            self._refuse(slot, generation, f"{program} cannot be run: {_REASONS[error.winerror]}")

    def _refuse(self, slot: int, generation: int, reason: str) -> NoReturn:
        """Log once that the program cannot be run; raises OSError, for this one is not."""
        events = self._events
        if not events.load_failure_logged:
            events.load_failure_logged = True
            where = {"slot": slot, "generation": generation}
            events.log.error("target cannot be loaded", **where, reason=reason)
        events.pool.apply(LoadFailed(slot, reason), self._events.clock())
        raise OSError(reason)


def environment(pairs: tuple[str, ...]) -> dict[str, str]:
    """Return our environment with what the settings add; the case of names does not matter."""
    added = (pair.partition("=") for pair in pairs)
    return {**os.environ, **{name.upper(): value for name, _, value in added}}
