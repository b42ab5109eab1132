"""Programs as workers: started with what they need, read from, asked to end."""

import selectors
import sys

from prefork.arbiter.child_events import ChildEvents
from prefork.arbiter.generations import Inheritance
from prefork.arbiter.programs.output_log import OutputLog
from prefork.arbiter.programs.program import Program
from prefork.core.events import ProgramRuns
from prefork.core.states import Process
from prefork.platform.base import Child, Platform

if sys.platform == "win32":
    from prefork.arbiter.programs.windows import Starter
else:
    from prefork.arbiter.programs.posix import Starter


class Programs:
    """All living programs, by their slots."""

    def __init__(
        self, events: ChildEvents, platform: Platform, selector: selectors.BaseSelector
    ) -> None:
        self._events = events
        self._platform = platform
        self._starter = Starter(events, platform, selector)
        self._programs: dict[Process, Program] = {}
        self._output_log = OutputLog(events.log, self._starter.watch, platform.now)

    def start(self, slot: int, generation: int, inheritance: Inheritance) -> Child:
        """Start what becomes the program in ``slot``; raises OSError."""
        program, outputs = self._starter.start(slot, generation, inheritance)
        self._programs[slot] = program
        self._output_log.add(program.child, outputs)
        return program.child

    def runs(self, child: Child) -> None:
        """Note that ``child`` has become the program: its channel has closed."""
        program = self._programs[child.key]
        self._events.pool.apply(ProgramRuns(program.slot), self._platform.now())

    def count_as_ready(self, child: Child) -> None:
        """Count the program as ready, which has reported nothing."""
        self._programs[child.key].count_as_ready(self._events, self._platform.now())

    def drain(self, child: Child) -> None:
        """Ask the program to finish what it holds and to end."""
        program = self._programs[child.key]
        program.row.set_leaving()
        self._starter.ask_to_end(program)

    def abort(self, child: Child) -> None:
        """Have a hung program print its stacks and end."""
        self._starter.abort(child)

    def deadline(self) -> float | None:
        """Return when to look next; None if nothing is due."""
        return self._output_log.deadline()

    def look(self, now: float) -> None:
        """Do what is due."""
        self._output_log.look(now)

    def read_rest(self, child: Child) -> None:
        """Read what the program has sent and printed before its end."""
        if (notify := self._programs[child.key].notify) is not None:
            notify.read_rest()
        self._output_log.read_rest(child)

    def forget(self, child: Child) -> None:
        """Close what we hold for the program, which is gone."""
        if (notify := self._programs.pop(child.key).notify) is not None:
            notify.close()
        self._output_log.forget(child)
