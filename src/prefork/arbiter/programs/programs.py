"""Programs as workers: started with what they need, heard, told when to end."""

import selectors
import sys

from prefork.arbiter.child_events import News
from prefork.arbiter.programs.output_log import Printing
from prefork.arbiter.programs.program import Program
from prefork.arbiter.programs.settings import Conduct
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
        self,
        news: News,
        platform: Platform,
        selector: selectors.BaseSelector,
        conduct: Conduct,
    ) -> None:
        self._news = news
        self._platform = platform
        self._starter = Starter(news, platform, selector, conduct)
        self._programs: dict[Process, Program] = {}
        self._printing = Printing(news.log, self._starter.watch, platform.now)

    def start(self, slot: int, generation: int) -> Child:
        """Start what becomes the program in ``slot``; raises OSError."""
        program, outputs = self._starter.start(slot, generation)
        self._programs[slot] = program
        self._printing.add(program.child, outputs)
        return program.child

    def runs(self, child: Child) -> None:
        """Note that ``child`` has become the program: its channel has closed."""
        program = self._programs[child.key]
        self._news.pool.apply(ProgramRuns(program.slot), self._platform.now())

    def count_as_ready(self, child: Child) -> None:
        """Take the program for ready, which has reported nothing."""
        self._programs[child.key].count_as_ready(self._news, self._platform.now())

    def drain(self, child: Child) -> None:
        """Ask the program to finish what it holds and to end."""
        self._programs[child.key].row.set_leaving()
        self._starter.ask_to_end(child)

    def abort(self, child: Child) -> None:
        """Have a hung program print its stacks and end."""
        self._starter.abort(child)

    def deadline(self) -> float | None:
        """Return when to look next; None if nothing is due."""
        return self._printing.deadline()

    def look(self, now: float) -> None:
        """Do what is due."""
        self._printing.look(now)

    def last_words(self, child: Child) -> None:
        """Hear what the program has said before its end."""
        if (letters := self._programs[child.key].letters) is not None:
            letters.last_words()
        self._printing.last_words(child)

    def forget(self, child: Child) -> None:
        """Let go of what we hold for the program, which is gone."""
        if (letters := self._programs.pop(child.key).letters) is not None:
            letters.close()
        self._printing.forget(child)
