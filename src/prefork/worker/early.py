"""A mold that is forked before its arbiter is ready: it gets ready itself, and waits for a plan.

No code of the user's runs before the plan has come, which is after all addresses are bound.
"""

import gc
import os
import signal
import socket
import sys
from collections.abc import Collection
from typing import Final, NoReturn

from prefork.ipc import messages
from prefork.ipc.plan import read_plan
from prefork.platform.posix.early_mold import adopted
from prefork.platform.posix.signals import CAUGHT, DUMP
from prefork.platform.posix.system import raise_descriptor_limit
from prefork.platform.service_manager import forget_passed_sockets
from prefork.worker.boot import finish
from prefork.worker.mold import serve_orders

#: What is meant for the process that was started, not for its children.
_NOT_OURS: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


def wait_for_plan(channel: socket.socket) -> NoReturn:
    """Be a mold from the moment the arbiter wants one; end silently if it never does."""
    status = 0
    _leave_parent()
    # What is alive stays: it need not be searched when the user's code has been imported.
    gc.freeze()
    gc.enable()
    try:
        received = adopted(channel)
        if received is not None:
            words, numbers = received
            arguments = messages.arguments(words)
            _catch_up(arguments["plan"][0], numbers)
            status = serve_orders(arguments)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    finish(status)


def _leave_parent() -> None:
    """Make a fork of the command line what a child of the arbiter is at its beginning."""
    os.setpgid(0, 0)  # so that Ctrl-C reaches the arbiter alone
    for signum in CAUGHT:
        signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, {DUMP})
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    # What a mold that the arbiter starts shows to the user's code.
    sys.orig_argv = [sys.executable, "-P", "-m", serve_orders.__module__]
    sys.argv = [serve_orders.__code__.co_filename]
    sys.modules["__main__"] = sys.modules[serve_orders.__module__]
    raise_descriptor_limit()  # as the arbiter has; what the user's code may have follows
    for name in _NOT_OURS:
        os.environ.pop(name, None)
    forget_passed_sockets(os.environ)


def _catch_up(plan_file: int, numbers: Collection[int]) -> None:
    """Do what the arbiter has done since the fork; ``numbers`` are descriptors from it."""
    plan = read_plan(plan_file)
    if plan.settings.chdir is not None:
        os.chdir(plan.settings.chdir)
    for address in plan.settings.bind:
        # The arbiter has a duplicate of it, and so have we.  Its number may be another's by now.
        if address.startswith("fd://") and (fd := int(address[5:])) not in numbers:
            os.close(fd)
