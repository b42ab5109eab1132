"""The command ``prefork``: finds the subcommand, and turns errors into sentences and exit codes."""

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

from prefork.errors import ControlError, HandlerError, ListenError, PreforkError, SettingsError
from prefork.settings.names import meant

#: Each is a module of this package with ``run(argv) -> int``, imported only when it is called.
COMMANDS: Final = {
    "serve": "serve a Python handler",
    "echo": "serve the echo server, on tcp://0.0.0.0:1500 with 5 workers",
    "check": "load settings and target, show what would be in effect, bind nothing",
    "status": "show the pool at a glance",
    "scale": "change how many workers there may be",
    "stop": "stop the server",
    "dump": "show the Python stacks of a worker, or of all",
    "why": "show the pool's last decisions, with the numbers each was taken from",
}
_LATER: Final = frozenset({"exec", "reload", "top", "upgrade"})

#: The first that fits; anything else prefork says went wrong is an internal error.
_EXIT_CODES: Final = (
    (SettingsError, 2),
    (HandlerError, 4),
    (ListenError, 5),
    (ControlError, 6),
    (PreforkError, 1),
)
_INTERRUPTED: Final = 130  # what a shell makes of SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that ``argv`` (default: the process's own) asks for; return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatched(arguments)
    except PreforkError as error:
        complain(error)
        return next(code for kind, code in _EXIT_CODES if isinstance(error, kind))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough.  The interpreter flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


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
        print(f"prefork {version('prefork')}")
        return 0
    if command not in COMMANDS:
        raise SettingsError([_no_command(command)])
    code: int = importlib.import_module(f"prefork.cli.{command}").run(rest)
    return code


def _no_command(text: str) -> str:
    if text in _LATER:
        return f"the command {text} is not offered by this version"
    if text.startswith("-"):
        return f"a command comes first, as in prefork serve {text} …; {text!r} is none"
    if ":" in text or text.endswith(".py"):
        return f"there is no command {text!r}; did you mean prefork serve {text}?"
    return f"there is no command {text!r}{meant(text, COMMANDS)}"


def _help() -> str:
    rows = "".join(f"  {name:8}  {says}\n" for name, says in COMMANDS.items())
    return (
        "usage: prefork COMMAND …\n\n"
        "Many processes on one socket, a dynamic pool, a parent that watches.\n\n"
        f"commands:\n{rows}\n"
        "prefork COMMAND --help tells more; prefork --version tells the version.\n"
    )
