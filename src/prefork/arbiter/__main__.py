"""Starts the arbiter: opens everything it owns, runs the loop, closes everything.

Run as ``python -P -m prefork.arbiter --settings FD [--parent PID]`` by ``prefork.launch``; ``-P``
because the current directory is the user's, and nothing of the user's is ever imported here.
"""

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Final

import msgspec

from prefork.arbiter.announcement import announce
from prefork.arbiter.assembly import assembled
from prefork.arbiter.claim import RunFiles
from prefork.arbiter.loop import Arbiter
from prefork.arbiter.opening import opened
from prefork.control.server import ControlServer
from prefork.errors import ListenError, PreforkError
from prefork.ipc import messages
from prefork.logs import log
from prefork.logs.log import Log
from prefork.platform.base import Platform
from prefork.platform.standard_streams import fill_standard_streams
from prefork.platform.system import System, given_file
from prefork.settings import Settings

#: Seconds that the end waits for a slow reader of the log.
FLUSH_TIMEOUT: Final = 1.0


def main() -> int:
    """Serve as the settings ask for; return the exit status."""
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
    """Serve as ``settings`` ask for; return the exit status.

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
    """Open everything, and supervise until the end; raises as ``opened`` does."""
    with contextlib.ExitStack() as last, contextlib.ExitStack() as owned:
        held = owned.enter_context(opened(settings, journal))
        arbiter = assembled(held, platform, journal)
        owned.callback(arbiter.scoreboard.end)
        last.callback(platform.close)
        if leash:
            platform.follow(*leash)
        control = open_control(held.run_files, arbiter)
        if control is not None:
            # Clients of ``stop`` get their answer after everything is closed.
            last.callback(control.close)
        arbiter.report()  # clients that find the server by its name below find a state, too
        announce(arbiter, held, control.address if control is not None else None)
        status = arbiter.run()
        last.callback(lambda: journal.info("stopped", status=status))
    journal.finish(FLUSH_TIMEOUT)
    return status


def open_control(run_files: RunFiles, arbiter: Arbiter) -> ControlServer | None:
    """Open the control socket; a server without one serves all the same."""
    address = run_files.control
    if address is None:
        return None
    try:
        return ControlServer(address, arbiter.selector, arbiter.operators.handle, run_files.secret)
    except OSError as error:
        reason = error.strerror or str(error)
        arbiter.log.warning("control socket not opened", address=address, reason=reason)
        return None


if __name__ == "__main__":
    sys.exit(main())
