"""Starts a server with its parts side by side: arbiter, mold, and the reading of the settings.

This process becomes the arbiter: so the process id stays, and a supervisor sees one process all
along.  It forks twice before it has read anything: a child reads the command line, sends the
settings and ends; another one becomes the mold.  So neither what parses nor what runs workers is
ever imported here, and what several need is imported once, before the fork.
"""

import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

import msgspec

from prefork.platform.posix.early_mold import EarlyMold
from prefork.platform.posix.signals import HELD_BACK
from prefork.platform.service_manager import forget_passed_sockets
from prefork.settings import Settings
from prefork.worker import EARLY

if TYPE_CHECKING:
    from prefork.platform.base import Platform
    from prefork.platform.posix.linux import LinuxPlatform

#: Calls what it is given, prints the sentences of its errors, and returns the exit code.
Outermost = Callable[[Callable[[], int]], int]


def start(command: str, argv: Sequence[str], outermost: Outermost) -> Callable[[], int]:
    """Return what serves as ``argv`` of ``command`` asks for, and returns the exit code.

    What goes wrong there is the arbiter's, and none of the command's errors.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, the children could not be waited for
    # It waits for the arbiter, which then takes away the mold that has ended before.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    _flush()  # or each of the three processes would print what is held back
    pipe, reader = _fork_reader(command, argv, outermost)
    try:
        _import_shared()
        early = None if command == "exec" else _fork_mold(pipe)
        arbiter = import_module("prefork.arbiter.__main__")
        with open(pipe, "rb") as settings_file:
            text = settings_file.read()
    except BaseException:
        os.kill(reader, signal.SIGTERM)
        raise
    code = os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1])
    if code < 0:
        name = signal.Signals(-code).name
        print(f"prefork: the process that reads the settings was ended by {name}", file=sys.stderr)
    if code or not text:
        return lambda: code if code >= 0 else 128 - code
    # They wait until the arbiter can handle them: an early Ctrl-C is a stop like any other.
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    return lambda: _serve(arbiter, text, early)


def _serve(arbiter: ModuleType, text: bytes, early: EarlyMold | None) -> int:
    forget_passed_sockets(os.environ)
    gc.freeze()  # so that what has been imported is not searched now
    gc.enable()
    settings: Settings = msgspec.json.decode(text, type=Settings)
    return int(arbiter.run(settings, platform=_platform(settings, early)))


def _fork_reader(command: str, argv: Sequence[str], outermost: Outermost) -> tuple[int, int]:
    """Return the pipe that the settings come from, and the process id of who reads them."""
    reader, writer = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(lambda: outermost(lambda: _send_settings(command, argv, writer, parent)))
    os.close(writer)
    return reader, pid


def _send_settings(command: str, argv: Sequence[str], writer: int, parent: int) -> int:
    if os.environ.get("LISTEN_PID", "").strip() == str(parent):
        os.environ["LISTEN_PID"] = str(os.getpid())  # what is passed to our parent, we may look at
    settings = import_module(f"prefork.cli.{command}").settings(argv)
    with contextlib.suppress(BrokenPipeError), open(writer, "wb") as pipe:
        pipe.write(msgspec.json.encode(settings))
    return 0


def _import_shared() -> None:
    """Import what both arbiter and mold need, before there are two of them."""
    import prefork.ipc.plan
    import prefork.kinds.base
    import prefork.logs.log
    import prefork.platform.posix.linux
    import prefork.platform.title
    import prefork.sockets.listeners  # noqa: F401


def _fork_mold(pipe: int) -> EarlyMold | None:
    """Return the mold that waits; None if the system has no process for it now."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # Until it has left our process group, and has handlers of its own.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            ours.close()
            os.close(pipe)
            _become(lambda: import_module(EARLY).wait_for_plan(theirs))
    except OSError:
        ours.close()
        return None  # the arbiter tries again, and logs what comes of it
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
    ours.setblocking(False)
    return EarlyMold(pid, ours)


def _platform(settings: Settings, early: EarlyMold | None) -> "Platform":
    """Return the platform, which will use the mold that waits, unless there is to be none."""
    platform: LinuxPlatform = import_module("prefork.platform.posix.linux").LinuxPlatform()
    if early is not None and settings.start == "spawn":
        early.channel.close()  # it ends
    else:
        platform.early = early
    return platform


def _become(main: Callable[[], int]) -> NoReturn:
    """Run ``main`` in a fork, which never comes back."""
    code = 1
    try:
        code = main()
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        sys.excepthook(*sys.exc_info())
        raise
    finally:
        _flush()
        os._exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
