"""Starting the arbiter on POSIX systems."""

import os
import signal
import sys
from typing import IO

import msgspec

from prefork.arbiter import ARBITER
from prefork.platform.posix.signals import HELD_BACK
from prefork.platform.posix.system import memory_file
from prefork.platform.service_manager import forget_passed_sockets
from prefork.settings import Settings
from prefork.sockets.addresses import parse_address

user_number = os.geteuid


def become_arbiter(settings: Settings) -> int:
    """Become the arbiter: the process id stays, so a supervisor sees one process all along.

    Does not return.
    """
    file = settings_file(settings)
    os.set_inheritable(file.fileno(), True)
    forget_passed_sockets(os.environ)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    # They wait until the arbiter can read them: an early Ctrl-C is a stop like any other.
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    os.execv(sys.executable, arbiter_argv(file.fileno()))


def run_arbiter(settings: Settings) -> int:
    """Run the arbiter as a child process; return its exit code."""
    from prefork.launch.child import run_child  # only here: become_arbiter needs no subprocess

    environ = dict(os.environ)
    forget_passed_sockets(environ)
    with settings_file(settings) as file:
        argv = [*arbiter_argv(file.fileno()), "--parent", str(os.getpid())]
        return run_child(argv, environ, (file.fileno(), *_adopted(settings)))


def arbiter_argv(fd: int) -> list[str]:
    """Return the arbiter's command line; ``fd`` holds the settings."""
    # -P: the current directory is the user's, and its select.py is not ours to import.
    return [sys.executable, "-P", "-m", ARBITER, "--settings", str(fd)]


def settings_file(settings: Settings) -> IO[bytes]:
    """Return an open file that has no name, holds ``settings`` and stands at its beginning."""
    file: IO[bytes] = os.fdopen(memory_file("settings"), "w+b")
    file.write(msgspec.json.encode(settings))
    file.flush()
    file.seek(0)
    return file


def _adopted(settings: Settings) -> list[int]:
    addresses = [parse_address(text) for text in settings.bind]
    return [address.fd for address in addresses if address.scheme == "fd"]
