"""Starts the arbiter: opens everything it owns, runs the loop, closes everything.

Run as ``python -P -m prefork.arbiter --settings FD [--parent PID]`` by ``prefork.launch``; ``-P``
because the current directory is the user's, and nothing of the user's is ever imported here.
"""

import contextlib
import os
import selectors
import sys
from collections.abc import Sequence

import msgspec

from prefork.arbiter.children import Children
from prefork.arbiter.claim import RunFiles, claim_run_files
from prefork.arbiter.loop import Arbiter
from prefork.arbiter.orders import Birth
from prefork.arbiter.pidfile import pidfile
from prefork.arbiter.programs.settings import conduct_of
from prefork.arbiter.scoreboard_writer import ScoreboardWriter
from prefork.control.server import ControlServer
from prefork.core.limits import accept_mode
from prefork.core.pool import Pool
from prefork.errors import ListenError, PreforkError, SettingsError
from prefork.ipc import messages
from prefork.ipc.plan import Plan
from prefork.ipc.scoreboard import Description, ListenerDescription, Scoreboard
from prefork.logs import log
from prefork.logs.log import Log
from prefork.platform.base import Platform
from prefork.platform.standard_streams import fill_standard_streams
from prefork.platform.system import (
    System,
    accept_mutex,
    given_file,
    memory_file,
    number_of,
    raise_descriptor_limit,
)
from prefork.platform.title import show_as
from prefork.settings import Settings
from prefork.settings.limits import pool_limits
from prefork.sockets.listeners import Listener, open_listeners
from prefork.sockets.system import needs_opening

#: Seconds that the end waits for a slow reader of the log.
LAST_WORDS = 1.0


def main() -> int:
    """Serve as the settings say; return the exit status."""
    fill_standard_streams()
    arguments = messages.arguments(sys.argv[1:])
    with open(given_file(arguments["settings"][0]), "rb") as file:
        settings = msgspec.json.decode(file.read(), type=Settings)
    if "parent" not in arguments:
        return run(settings)
    (parent,) = arguments["parent"]
    leash = (parent, *arguments.get("interrupt", ()))
    return run(settings, leash) if os.getppid() == parent else 0


def run(settings: Settings, leash: Sequence[int] = (), platform: Platform | None = None) -> int:
    """Serve as ``settings`` say; return the status.

    ``leash`` is what ``Platform.follow`` takes, if a process that stays our parent controls us.
    Without ``platform`` it is a fresh one of the system at hand.
    """
    journal = Log(settings.log_level, as_json=settings.log_format == "json")
    log.use(journal)
    try:
        return serve(settings, journal, leash, platform or System())
    except PreforkError as error:
        for line in str(error).splitlines():
            print(f"prefork: {line}", file=sys.stderr)  # noqa: T201 (before there is a log)
        return 5 if isinstance(error, ListenError) else 2


def serve(settings: Settings, journal: Log, leash: Sequence[int], platform: Platform) -> int:
    """Open listeners, scoreboard and control socket, and supervise until the end.

    Raises ListenError when an address cannot be had, SettingsError when a path cannot.
    """
    descriptors = raise_descriptor_limit()
    with contextlib.ExitStack() as last, contextlib.ExitStack() as owned:
        if settings.chdir is not None:
            os.chdir(settings.chdir)
        listeners = open_listeners(settings.bind, settings.backlog)
        for listener in listeners:
            owned.callback(listener.close)
        accept = accept_mode(
            settings.accept,
            len(listeners),
            is_program=settings.facts.foreign_programs,
            kernel_wakes_one=System.wakes_one,
        )
        for listener in listeners:
            # The flag belongs to the socket, which all processes share: one sets it for all.
            # For datagrams it matters only to answers, which are to wait for room.  On Windows who
            # has the mutex sets it as needed, and siblings that are none of ours may block.
            blocks = accept in ("blocking", "program") or not System.can_share_nonblocking
            listener.socket.setblocking(listener.is_datagram or blocks)
        owned.enter_context(pidfile(settings.pidfile))
        run_files = owned.enter_context(claim_run_files(settings, journal))
        arbiter = assemble(run_files.settings, platform, listeners, accept, run_files, descriptors)
        owned.callback(arbiter.scoreboard.end)
        last.callback(arbiter.platform.close)
        if leash:
            arbiter.platform.follow(*leash)
        control = open_control(run_files, arbiter, journal)
        if control is not None:
            last.callback(control.close)  # whoever waits for our end is told when all is closed
        arbiter.report()  # whoever finds us by the name below finds a state, too
        if settings.facts.foreign_programs:
            arbiter.scoreboard.describe_kind(settings.kind, event_loop=False)
        arbiter.scoreboard.describe(description(run_files.settings, listeners, control), accept)
        announce(arbiter, listeners, accept, run_files, control)
        status = arbiter.run()
        last.callback(lambda: journal.info("stopped", status=status))
    journal.finish(LAST_WORDS)
    return status


def assemble(
    settings: Settings,
    platform: Platform,
    listeners: Sequence[Listener],
    accept: str,
    run_files: RunFiles,
    descriptors: int,
) -> Arbiter:
    """Put the arbiter together."""
    journal = log.current()
    mutex = None
    if accept == "mutex" or settings.accept_mutex_name is not None:
        mutex = made_mutex(settings.accept_mutex_name, journal)
    inherited = tuple(listener.socket.fileno() for listener in listeners)
    plan = Plan(
        settings=settings,
        accept=accept,
        listeners=inherited,
        adopted=tuple(each.socket.fileno() for each in listeners if not each.owned),
        scoreboard=number_of(run_files.scoreboard),
        mutex=mutex,
        arbiter=os.getpid(),
        generation=1,
        screened=needs_opening(),
        descriptors=descriptors,
    )
    plan_file = memory_file("plan")
    os.write(plan_file, msgspec.json.encode(plan))
    shared = [plan.scoreboard, *([] if mutex is None else [mutex])]
    selector = selectors.DefaultSelector()
    platform.catch_signals()
    scoreboard = ScoreboardWriter(
        Scoreboard.create(run_files.scoreboard), os.getpid(), platform.now()
    )
    limits = pool_limits(settings, can_fork=System.can_fork, can_abort=System.can_abort)
    pool = Pool(limits, platform.now())
    given = number_of(plan_file)
    port = next((each.address.port for each in listeners if each.is_internet), None)
    conduct = conduct_of(settings, given, inherited, shared, port)
    birth = Birth(given, inherited, shared, run_files.incidents, conduct)
    children = Children(pool, platform, scoreboard, selector, journal, birth)
    return Arbiter(pool, platform, children, listeners, selector, journal)


def made_mutex(name: str | None, journal: Log) -> int:
    """Return the number by which children inherit the accept mutex; raises SettingsError."""
    try:
        mutex, existed = accept_mutex(name)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError([f"accept-mutex-name {name} cannot be had: {reason}"]) from error
    if existed:
        journal.info("accept mutex joined", name=name)
    return mutex


def open_control(run_files: RunFiles, arbiter: Arbiter, journal: Log) -> ControlServer | None:
    """Open the control socket; a server without one serves all the same."""
    address = run_files.control
    if address is None:
        return None
    try:
        return ControlServer(address, arbiter.selector, arbiter.operators.handle, run_files.secret)
    except OSError as error:
        reason = error.strerror or str(error)
        journal.warning("control socket not opened", address=address, reason=reason)
        return None


def description(
    settings: Settings, listeners: Sequence[Listener], control: ControlServer | None
) -> Description:
    """Return what never changes in the server's life, as it stands on the scoreboard."""
    return Description(
        name=settings.name,
        target=settings.target,
        control=control.address if control is not None else None,
        listeners=tuple(
            ListenerDescription(
                address=str(each.address),
                inode=each.inode,
                backlog=None if each.is_datagram else settings.backlog,
            )
            for each in listeners
        ),
    )


def announce(
    arbiter: Arbiter,
    listeners: Sequence[Listener],
    accept: str,
    run_files: RunFiles,
    control: ControlServer | None,
) -> None:
    """Log where the server can be reached, by its clients and by its operators."""
    settings = run_files.settings
    name = settings.name
    show_as("arbiter", name)
    scaling = arbiter.pool.limits.scaling
    fixed = scaling.minimum == scaling.maximum
    for listener in listeners:
        arbiter.log.info(
            "listening",
            address=listener.address,
            name=name,
            pid=os.getpid(),
            workers=scaling.maximum if fixed else f"{scaling.minimum}..{scaling.maximum}",
            accept=settings.accept if System.wakes_one else accept,
            control=control.address if control is not None else "off",
        )


if __name__ == "__main__":
    sys.exit(main())
