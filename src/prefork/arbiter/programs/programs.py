"""Programs as workers: started with what they need, heard, told when to end."""

import selectors
import sys

from prefork.arbiter.child_events import News, place_of
from prefork.arbiter.programs.output_log import Printing
from prefork.arbiter.programs.program import Program
from prefork.arbiter.programs.settings import Conduct, conduct_of
from prefork.platform.base import Child, Platform

if sys.platform == "win32":
    from prefork.arbiter.programs.windows import Starter
else:
    from prefork.arbiter.programs.posix import Starter

__all__ = ["Conduct", "Programs", "conduct_of"]


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
        self._ready_after = conduct.settings.ready_after
        self._starter = Starter(news, platform, selector, conduct)
        self._by_slot: dict[int, Program] = {}
        self._printing = Printing(news.log, self._starter.watch, platform.now)

    def start(self, slot: int, generation: int) -> Child:
        """Start what becomes the program in ``slot``; raises OSError."""
        program, outputs = self._starter.start(slot, generation)
        self._by_slot[slot] = program
        self._printing.add(program.child, outputs)
        return program.child

    def runs(self, child: Child) -> None:
        """Note that ``child`` has become the program: its channel has closed."""
        program = self._by_slot[place_of(child)]
        if self._ready_after and not program.spoke:
            program.ready_at = self._platform.now() + self._ready_after

    def drain(self, child: Child) -> None:
        """Ask the program to finish what it holds and to end."""
        self._by_slot[place_of(child)].row.set_leaving()
        self._starter.ask_to_end(child)

    def abort(self, child: Child) -> None:
        """End a hung program, with a moment to say something if there is a way to ask for it."""
        program = self._by_slot[place_of(child)]
        program.kill_at = self._platform.now() + self._starter.abort(child)

    def deadline(self) -> float | None:
        """Return when to look next; None if nothing is due."""
        programs = self._by_slot.values()
        due = [self._printing.deadline()]
        due += [moment for each in programs for moment in (each.ready_at, each.kill_at)]
        return min((moment for moment in due if moment is not None), default=None)

    def look(self, now: float) -> None:
        """Do what is due: take the silent for ready, end those who were aborted."""
        for program in self._by_slot.values():
            if program.ready_at is not None and now >= program.ready_at:
                program.become_ready(self._news, now)
            if program.kill_at is not None and now >= program.kill_at:
                program.kill_at = None
                self._platform.kill(program.child)
        self._printing.look(now)

    def last_words(self, child: Child) -> None:
        """Hear what the program has said before its end."""
        if (letters := self._by_slot[place_of(child)].letters) is not None:
            letters.last_words()
        self._printing.last_words(child)

    def forget(self, child: Child) -> None:
        """Let go of what we hold for the program, which is gone."""
        if (letters := self._by_slot.pop(place_of(child)).letters) is not None:
            letters.close()
        self._printing.forget(child)
