"""A whole arbiter in one process, on the fake platform: real rules, real loop, real scoreboard."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefork.arbiter.child_events import ChildEvents
from prefork.arbiter.children import Children
from prefork.arbiter.generations import Generations
from prefork.arbiter.loop import Arbiter
from prefork.arbiter.programs.programs import Programs
from prefork.arbiter.scoreboard_writer import ScoreboardWriter
from prefork.core.pool import Pool, PoolLimits
from prefork.ipc.layout import Row
from prefork.ipc.plan import Plan
from prefork.ipc.scoreboard import Scoreboard
from prefork.logs.log import Log
from prefork.platform.system import memory_file
from prefork.settings import Settings
from rig.fake_platform import FakePlatform, FakeSelector, Order, Paused, Script


class FakeArbiter:
    """An ``Arbiter`` whose processes do as ``script`` says, and whose time is the test's."""

    def __init__(
        self,
        limits: PoolLimits,
        script: Callable[[Order], Script] = lambda order: Script(),
        incidents: Path | None = None,
        *,
        runs_programs: bool = False,
    ) -> None:
        self.platform = FakePlatform(script)
        self.selector = FakeSelector(self.platform)
        self._files = [memory_file(name) for name in ("scoreboard", "log")]
        scoreboard, log = self._files
        self.scoreboard = Scoreboard.create(scoreboard)
        writer = ScoreboardWriter(self.scoreboard, os.getpid(), self.platform.now())
        self.pool = Pool(limits, self.platform.now())
        journal = Log(as_json=True, fd=log)
        events = ChildEvents(self.pool, writer, journal, incidents, self.platform.now)
        self.generations = Generations(_plan(scoreboard))
        programs = Programs(events, self.platform, self.selector) if runs_programs else None
        children = Children(events, self.platform, self.selector, self.generations, programs)
        self.arbiter = Arbiter(self.platform, children, [], self.selector)

    def run_for(self, seconds: float) -> None:
        """Let the arbiter run until its clock is ``seconds`` later."""
        self.selector.until = self.platform.time + seconds
        try:
            status = self.arbiter.run()
        except Paused:
            return
        raise AssertionError(f"the arbiter has ended with {status}")

    def run_to_the_end(self, limit: float = 1000.0) -> int:
        """Let the arbiter run until it ends; return its exit status."""
        self.selector.until = self.platform.time + limit
        return self.arbiter.run()

    def row(self, slot: int) -> Row:
        """Return the scoreboard's row that the worker in ``slot`` writes."""
        return self.scoreboard.row(slot)

    def take(self, slot: int) -> None:
        """Have the worker in ``slot`` take a connection."""
        row = self.row(slot)
        row.busy_since = self.platform.time
        row.accepted += 1
        row.connections += 1
        row.active += 1

    def finish(self, slot: int) -> None:
        """Have the worker in ``slot`` finish its connection."""
        row = self.row(slot)
        row.handled += 1
        row.active -= 1
        row.connections -= 1
        row.busy_since = 0.0

    def leave(self, slot: int) -> None:
        """Have the worker in ``slot`` acknowledge that it is to leave."""
        self.row(slot).leaving = 1

    def log(self, *events: str) -> list[dict[str, Any]]:
        """Return what is in the log, or those of its ``events``."""
        fd = self._files[1]
        text = os.pread(fd, 1 << 20, 0).decode()
        lines = [json.loads(line) for line in text.splitlines()]
        return [line for line in lines if not events or line["event"] in events]

    def close(self) -> None:
        """Close everything."""
        children = self.arbiter.children
        for child in (*children.by_slot.values(), *children.molds.values()):
            child.close()
        self.generations.forget_all_but(())
        self.selector.close()
        self.platform.close()
        for fd in self._files:
            os.close(fd)


def _plan(scoreboard: int) -> Plan:
    return Plan(
        settings=Settings(target="app:handle"),
        accept="blocking",
        listeners=(),
        adopted=(),
        scoreboard=scoreboard,
        mutex=None,
        arbiter=os.getpid(),
        generation=1,
        screened=False,
        descriptors=1024,
    )
