"""Where the server can be reached, by its clients and by its operators: scoreboard, log, title."""

import os

from prefork.arbiter.loop import Arbiter
from prefork.arbiter.opening import Opened
from prefork.ipc.scoreboard import Description, ListenerDescription
from prefork.platform.system import System
from prefork.platform.title import show_as


def announce(arbiter: Arbiter, opened: Opened, control: str | None) -> None:
    """Show where the server listens; ``control`` is the address of its control socket."""
    settings, scoreboard = opened.settings, arbiter.scoreboard
    if settings.facts.foreign_programs:
        scoreboard.describe_kind(settings.kind, event_loop=False)
    scoreboard.describe(_description(opened, control), opened.accept)
    show_as("arbiter", settings.name)
    scaling = arbiter.pool.limits.scaling
    fixed = scaling.minimum == scaling.maximum
    for listener in opened.listeners:
        arbiter.log.info(
            "listening",
            address=listener.address,
            name=settings.name,
            pid=os.getpid(),
            workers=scaling.maximum if fixed else f"{scaling.minimum}..{scaling.maximum}",
            accept=settings.accept if System.wakes_one else opened.accept,
            control=control if control is not None else "off",
        )


def _description(opened: Opened, control: str | None) -> Description:
    """Return what never changes in the server's life, as it stands on the scoreboard."""
    settings = opened.settings
    return Description(
        name=settings.name,
        target=settings.target,
        control=control,
        listeners=tuple(
            ListenerDescription(
                address=str(each.address),
                inode=each.inode,
                backlog=None if each.is_datagram else settings.backlog,
            )
            for each in opened.listeners
        ),
    )
