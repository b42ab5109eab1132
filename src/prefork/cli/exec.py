"""``prefork exec``: check everything, then become the arbiter of a program's workers."""

import re
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Final

from prefork.cli.arguments import Line
from prefork.cli.server import resolved, server_parser
from prefork.errors import HandlerError, SettingsError
from prefork.launch.arbiter import become_arbiter
from prefork.launch.surroundings import surroundings
from prefork.platform.lookup import find_program
from prefork.settings import Settings
from prefork.sockets.addresses import parse_address
from prefork.sockets.binding import duplicate
from prefork.worker.placeholders import unknown

#: Settings that only the program itself can decide.
_PINNED: Final = {
    "kind": "auto",
    "factory": "false",
    "threads": "1",
    "start": "auto",
    "accept": "auto",
    "accept-mutex": "flock",
}
_MISSING: Final = (
    "the program and its arguments come after --, as in prefork exec --workers 4 -- ./server {fd}"
)


def run(argv: Sequence[str]) -> int:
    """Serve; return the exit code.

    Raises SettingsError, and HandlerError when the program cannot be found.
    """
    return become_arbiter(settings(argv))


def settings(argv: Sequence[str]) -> Settings:
    """Return the settings of the server that ``argv`` asks for; raises as ``run`` does."""
    options, command = _parted(argv)
    parser = server_parser(
        "exec",
        "[options] -- PROGRAM [ARG…]",
        "Run any program as workers that share the listening sockets. In its arguments {fd} is "
        "the descriptor of the first address, on Windows its handle, {fd:N} that of the N-th, "
        "from 0, {port} the first port, {slot} the worker's slot. By default a worker holds one "
        "unit of work (--concurrency 1), and the server has the program's name.",
        without=(*_PINNED, "loop"),
    )
    line = parser.parse(options)
    _refuse_mistakes(line, command)
    program = command[0] if command else "program"
    pinned = {**_PINNED, "target": program or "program"}
    if sys.platform == "win32":
        del pinned["accept-mutex"]  # there is none to choose
    found = resolved(
        line,
        pinned=pinned,
        defaults={"concurrency": "1", "name": _name_of(program)},
    ).settings
    found = replace(found, kind="command", command=tuple(command))
    _check_tokens(found)
    _check_readiness(found)
    _check_program(found)
    return found


def _parted(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return what stands before the first ``--``, and what after it."""
    words = list(argv)
    if "--" not in words:
        return words, []
    middle = words.index("--")
    return words[:middle], words[middle + 1 :]


def _refuse_mistakes(line: Line, command: Sequence[str]) -> None:
    """Add the mistakes in ``command`` to those of ``line``."""
    if sys.platform not in ("linux", "win32"):
        line.problems.append("prefork exec needs Linux or Windows")
    if not command:
        line.problems.append(_MISSING)
    elif not command[0]:
        line.problems.append("the name of the program is empty")
    for word in command:
        try:
            word.encode()
        except UnicodeEncodeError:
            line.problems.append(f"the argument {word!r} is not valid UTF-8")


def _name_of(program: str) -> str:
    path = PurePath(program)
    name = path.stem if path.suffix.lower() == ".exe" else path.name
    return re.sub(r"[^\w.@:+-]", "-", name)[:64] or "prefork"


def _check_tokens(settings: Settings) -> None:
    """Raise SettingsError when an argument names an address or a port that does not exist."""
    has_port = any(_has_port(address) for address in settings.bind)
    problems = list(unknown(settings.command[1:], len(settings.bind), has_port=has_port))
    if problems:
        raise SettingsError(problems)


def _check_readiness(settings: Settings) -> None:
    """Raise SettingsError when a silent program would be hung before it counted as ready."""
    after, limit = settings.ready_after, settings.boot_timeout
    if limit and after >= limit:
        raise SettingsError(
            [
                f"ready-after is {after:g} and boot-timeout {limit:g}: a program that reports "
                "nothing would be hung before it is ready; ready-after must be below "
                "boot-timeout, or 0"
            ]
        )


def _has_port(text: str) -> bool:
    address = parse_address(text)
    if address.scheme != "fd":
        return bool(address.host)
    try:
        with duplicate(address.fd) as sock:
            return sock.family in (socket.AF_INET, socket.AF_INET6)
    except OSError:
        return True  # opening it will report that it is not a socket


def _check_program(settings: Settings) -> None:
    """Raise HandlerError unless the program can be found as a worker will look for it."""
    around = surroundings()
    environ = dict(around.environ)
    for pair in settings.env:
        name, _, value = pair.partition("=")
        environ[name.upper() if around.is_windows else name] = value
    directory = around.absolute(settings.chdir or "") if around.directory else Path()
    try:
        find_program(settings.command[0], environ, directory)
    except HandlerError as error:
        raise HandlerError(f"the program {error}") from error
