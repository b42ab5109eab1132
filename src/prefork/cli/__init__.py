"""The command ``prefork``: finds the subcommand, and turns errors into sentences and exit codes.

Imports little before ``main`` runs: Ctrl-C while something is imported must not show a traceback,
and only there it can be caught.
"""

import contextlib
import errno
import gc
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final, NoReturn

from prefork.errors import ControlError, HandlerError, ListenError, PreforkError, SettingsError
from prefork.platform.standard_streams import fill_standard_streams

#: Each is a module of this package with ``run(argv) -> int``, imported only when it is called.
COMMANDS: Final = {
    "serve": "serve a Python handler",
    "exec": "run any program as workers on shared sockets",
    "echo": "serve the echo server, on tcp://0.0.0.0:1500 with 5 workers",
    "check": "load settings and target, show the settings in effect, bind nothing",
    "status": "show the pool at a glance",
    "scale": "change how many workers there may be",
    "stop": "stop the server",
    "dump": "show the Python stacks of a worker, or of all",
    "why": "show the pool's last decisions, with the numbers behind each",
}
#: These start a server.
_SERVERS: Final = frozenset({"serve", "exec", "echo"})
_LATER: Final = frozenset({"reload", "top", "upgrade"})

#: The first that fits; any other PreforkError is an internal error.
_EXIT_CODES: Final = (
    (SettingsError, 2),
    (HandlerError, 4),
    (ListenError, 5),
    (ControlError, 6),
    (PreforkError, 1),
)
_INTERRUPTED: Final = 130  # what a shell makes of SIGINT

#: How write(2) fails when a file cannot take what is printed.
_UNWRITABLE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that ``argv`` (default: the process's own) asks for; return the exit code.

    As the process's own command, ``check`` ends the process.
    """
    fill_standard_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    starts = argv is None and arguments[:1] and arguments[0] in _SERVERS
    if starts and sys.platform == "linux" and _can_fork():
        return _start(*arguments)
    code = _exit_code(lambda: _dispatched(arguments))
    if argv is None and arguments[:1] == ["check"]:
        _leave(code)
    return code


def _exit_code(act: Callable[[], int]) -> int:
    """Return what ``act`` returns, or the exit code for its error, whose sentences are printed."""
    try:
        code = act()
        sys.stdout.flush()
        return code
    except SystemExit:  # the command's --help has been shown
        return 0
    except PreforkError as error:
        complain(error)
        return next(code for kind, code in _EXIT_CODES if isinstance(error, kind))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough
        _discard_output()
        return 0
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        _discard_output()
        complain(PreforkError(f"the output cannot be written: {error.strerror}"))
        return 1


def _discard_output() -> None:
    """Let the interpreter, which flushes once more at its end, get rid of what it still holds."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leave(code: int) -> NoReturn:
    """End the process though threads run on: ``check`` has imported what the user wrote."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # the user's code may have closed it
            stream.flush()
    os._exit(code)


def complain(error: PreforkError) -> None:
    """Print the sentences of ``error`` on standard error."""
    for line in str(error).splitlines():
        print(f"prefork: {line}", file=sys.stderr)


def _dispatched(arguments: list[str]) -> int:
    if not arguments:
        print(_help(), end="", file=sys.stderr)
        raise SettingsError(["no command is given"])
    command, *rest = arguments
    if command in ("--help", "-h", "help"):
        print(_help(), end="")
        return 0
    if command in ("--version", "-V"):
        print(f"prefork {import_module('prefork').__version__}")
        return 0
    if command not in COMMANDS:
        raise SettingsError([_no_command(command)])
    code: int = import_module(f"prefork.cli.{command}").run(rest)
    return code


def _can_fork() -> bool:
    """Tell whether a fork of this process is sound: other threads would be missing in it.

    A tracer or profiler that comes with the interpreter's start (sitecustomize) has threads.
    """
    try:
        return len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208 (as cheap as it gets)
    except OSError:
        return True


def _start(command: str, *rest: str) -> int:
    try:
        gc.disable()  # hardly anything that is created until the server runs is garbage
        if not sys.flags.safe_path:
            del sys.path[0]  # as -P does: the directory is the user's, and its select.py not ours
        serve = import_module("prefork.cli.start").start(command, rest, _exit_code)
    except KeyboardInterrupt:
        return _INTERRUPTED
    return int(serve())


def _no_command(text: str) -> str:
    if text in _LATER:
        return f"the command {text} is not offered by this version"
    if text.startswith("-"):
        return f"a command comes first, as in prefork serve {text} …; {text!r} is not one"
    if ":" in text or "/" in text or text.endswith(".py"):
        return f"there is no command {text!r}; did you mean prefork serve {text}?"
    guess: str = import_module("prefork.settings.names").meant(text, COMMANDS)
    return f"there is no command {text!r}{guess}"


def _help() -> str:
    rows = "".join(f"  {name:8}  {summary}\n" for name, summary in COMMANDS.items())
    return (
        "usage: prefork COMMAND …\n\n"
        "Many processes on one socket, a dynamic pool, a parent that watches the workers.\n\n"
        f"commands:\n{rows}\n"
        "prefork COMMAND --help shows the options; prefork --version prints the version.\n"
    )
