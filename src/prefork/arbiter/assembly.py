"""Puts the arbiter together, from what it owns and the platform."""

import os
import selectors
from importlib import import_module

from prefork.arbiter.child_events import ChildEvents
from prefork.arbiter.children import Children
from prefork.arbiter.generations import Generations
from prefork.arbiter.loop import Arbiter
from prefork.arbiter.opening import Opened
from prefork.arbiter.scoreboard_writer import ScoreboardWriter
from prefork.core.pool import Pool
from prefork.ipc.plan import Plan
from prefork.ipc.scoreboard import Scoreboard
from prefork.logs.log import Log
from prefork.platform.base import Platform
from prefork.platform.system import System, number_of
from prefork.settings.limits import pool_limits
from prefork.sockets.system import needs_opening


def assembled(opened: Opened, platform: Platform, log: Log) -> Arbiter:
    """Return the arbiter, which has not started anything yet; from here on it gets signals."""
    settings, run_files = opened.settings, opened.run_files
    selector = selectors.DefaultSelector()
    platform.catch_signals()
    now = platform.now()
    scoreboard = ScoreboardWriter(Scoreboard.create(run_files.scoreboard), os.getpid(), now)
    limits = pool_limits(settings, can_fork=System.can_fork, can_abort=System.can_abort)
    pool = Pool(limits, now)
    events = ChildEvents(pool, scoreboard, log, run_files.incidents, platform.now)
    programs = None
    if settings.facts.foreign_programs:
        # Only here: most servers have no programs as workers.
        module = import_module("prefork.arbiter.programs.programs")
        programs = module.Programs(events, platform, selector)
    generations = Generations(_plan(opened, pool.generation), opened.port)
    children = Children(events, platform, selector, generations, programs)
    return Arbiter(platform, children, opened.listeners, selector)


def _plan(opened: Opened, generation: int) -> Plan:
    return Plan(
        settings=opened.settings,
        accept=opened.accept,
        listeners=tuple(each.socket.fileno() for each in opened.listeners),
        adopted=tuple(each.socket.fileno() for each in opened.listeners if not each.owned),
        scoreboard=number_of(opened.run_files.scoreboard),
        mutex=opened.mutex,
        arbiter=os.getpid(),
        generation=generation,
        screened=needs_opening(),
        descriptors=opened.descriptors,
    )
