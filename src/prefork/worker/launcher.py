"""Becomes the program that a worker is to run, with the listeners as its descriptors.

Run as ``python -P -m prefork.worker.launcher --slot N …`` by the arbiter; the process stays, so
the program is the arbiter's own child.  The channel closes by itself when the program begins.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Final

from prefork.errors import HandlerError
from prefork.ipc import messages
from prefork.ipc.plan import Plan, read_plan
from prefork.platform.linux import signal_on_parents_death
from prefork.settings import Settings
from prefork.worker.environment import apply_settings, take_over
from prefork.worker.placeholders import Values, filled, names_descriptors

#: The descriptor of the first listener: SD_LISTEN_FDS_START in sd_listen_fds(3).
FIRST: Final = 3


def main() -> int:
    """Become the program that the plan names; returns only if that cannot be."""
    arguments = messages.arguments(sys.argv[1:])
    plan = read_plan(arguments["plan"][0])
    channel, _ = take_over(plan, arguments)
    try:
        apply_settings(plan)
        spare = names_descriptors(plan.settings.command[1:])
        channel = _arrange_descriptors(channel, plan.listeners, copies=1 + spare)
        _become(plan, arguments["slot"][0], channel)
    except HandlerError as error:
        channel.sendall(messages.encode(messages.Failed(os.getpid(), str(error))))
    return 4


def _arrange_descriptors(
    channel: socket.socket, listeners: Sequence[int], copies: int
) -> socket.socket:
    """Put the listeners where the program expects them, and let it inherit nothing else.

    A descriptor that an argument names is a second one, beside that of LISTEN_FDS: a program that
    uses both, as gunicorn does, takes each for its own, and closes each.
    Returns the channel, which may have to move.
    """
    listeners = [*listeners] * copies
    end = FIRST + len(listeners)
    # First all out of the way: a listener may stand where another one has to go.
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, end) for fd in listeners]
    channel = socket.socket(fileno=fcntl.fcntl(channel.detach(), fcntl.F_DUPFD_CLOEXEC, end))
    for number, fd in enumerate(moved, start=FIRST):
        os.dup2(fd, number, inheritable=True)
    for fd in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208
        if fd >= end:
            with contextlib.suppress(OSError):  # that of the listing itself is closed already
                os.set_inheritable(fd, False)
    return channel


def _become(plan: Plan, slot: int, channel: socket.socket) -> None:
    """Start the program in this process; raises HandlerError when that cannot be."""
    settings = plan.settings
    count = len(plan.listeners)
    passed = range(FIRST, FIRST + count)
    port = next((port for fd in passed if (port := _port(fd)) is not None), None)
    values = Values(range(FIRST + count, FIRST + 2 * count), port, slot)
    program, *words = settings.command
    argv = [program, *(filled(word, values) for word in words)]
    environ = {**os.environ, **_conventions(settings, count)}
    _reset_signals()
    # After the change of user, which clears it; execve(2) keeps it.
    signal_on_parents_death(signal.Signals[f"SIG{settings.stop_signal}"])
    if os.getppid() != plan.arbiter:
        return
    # From now on the end of this process is the program's own.
    channel.sendall(messages.encode(messages.Loaded()))
    try:
        os.execvpe(program, argv, environ)
    except OSError as error:
        raise HandlerError(f"{program} cannot be run: {_reason(program, error)}") from error


def _reason(program: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError) and shutil.which(program) is not None:
        # execve(2) gives the same error for what the program itself needs to run.
        return "its interpreter, which it names in its first line or as an ELF file, is missing"
    return error.strerror or str(error)


def _conventions(settings: Settings, listeners: int) -> dict[str, str]:
    """Return the variables of sd_listen_fds(3) and sd_watchdog_enabled(3)."""
    pid = str(os.getpid())
    found = {
        "LISTEN_PID": pid,
        "LISTEN_FDS": str(listeners),
        "LISTEN_FDNAMES": ":".join(f"listener-{index}" for index in range(listeners)),
    }
    if settings.timeout:
        found |= {"WATCHDOG_PID": pid, "WATCHDOG_USEC": str(round(settings.timeout * 1e6))}
    return found


def _port(fd: int) -> int | None:
    with socket.socket(fileno=os.dup(fd)) as listener:
        if listener.family in (socket.AF_INET, socket.AF_INET6):
            return int(listener.getsockname()[1])
    return None


def _reset_signals() -> None:
    """Give the program the signals as they are by default: Python ignores some, for itself."""
    for signum in signal.valid_signals():
        with contextlib.suppress(OSError, ValueError):  # KILL and STOP cannot be anything else
            signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


if __name__ == "__main__":
    sys.exit(main())
