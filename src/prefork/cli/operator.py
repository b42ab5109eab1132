"""What the operator commands have in common: their flags, and which server they connect to."""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from prefork.cli.arguments import Line, Parser
from prefork.control.client import Control
from prefork.errors import ControlError, ListenError, SettingsError
from prefork.ipc import run_files
from prefork.ipc.run_files import RunningServer, running_servers
from prefork.platform.system import HAS_UNIX_SOCKETS
from prefork.sockets.addresses import Address, parse_address

_LOOPBACK: Final = "127.0.0.1"
_FORMS: Final = (
    f"it must be unix:PATH, unix:@NAME or tcp://{_LOOPBACK}:PORT"
    if HAS_UNIX_SOCKETS
    else f"on Windows it must be tcp://{_LOOPBACK}:PORT"
)


def operator_parser(command: str, usage: str, summary: str) -> Parser:
    """Return a parser with the flags that every operator command takes."""
    parser = Parser(command, usage, summary)
    parser.add("name", "--name", "-n", metavar="NAME", help="the server (default: the only one)")
    parser.add("control", "--control", metavar="ADDRESS", help="its control socket instead")
    parser.add("json", "--json", help="print JSON")
    return parser


def parsed(parser: Parser, argv: Sequence[str], most_words: int = 0) -> Line:
    """Return ``argv`` taken apart, with its mistakes still inside."""
    line = parser.parse(argv, most_words)
    address = line.last("control")
    if address is not None and _reachable(address) is None:
        line.problems.append(f"control cannot be {address!r} (from flag --control): {_FORMS}")
    return line


def refuse_mistakes(line: Line) -> None:
    """Raise SettingsError with all the mistakes of ``line``, if it has any."""
    if line.problems:
        raise SettingsError(line.problems)


def connected(line: Line) -> Control:
    """Return a connection to the server that ``line`` means.  Raises ControlError."""
    text = line.last("control")
    if text is not None:
        address = parse_address(text)
        return Control(str(address), _secret_of(address))
    server = found(line.last("name"))
    if server.control is None:
        raise ControlError(f"the server {server.name} (pid {server.pid}) has no control socket")
    is_unix = server.control.startswith("unix:")
    return Control(server.control, None if is_unix else _beside(server.scoreboard))


def found(name: str | None) -> RunningServer:
    """Return the running server called ``name``, or the only one.  Raises ControlError."""
    servers = running_servers()
    meant = [server for server in servers if name is None or server.name == name]
    if len(meant) == 1:
        return meant[0]
    if meant:
        which = "--control" if name is not None else "--name NAME"
        raise ControlError(f"several servers run: {_listed(meant)}; choose one with {which}")
    if name is None:
        raise ControlError("no server runs")
    others = f"; there is {_listed(servers)}" if servers else ""
    raise ControlError(f"no server called {name} runs{others}")


def print_json(result: object) -> None:
    """Print ``result`` for a program to read."""
    print(json.dumps(result, indent=2, ensure_ascii=False))


def _reachable(text: str) -> Address | None:
    """Return the address in ``text``; None when no server can have its operators there."""
    try:
        address = parse_address(text)
    except ListenError:
        return None
    if address.scheme == "tcp":
        return address if address.host == _LOOPBACK else None
    return address if address.scheme == "unix" and HAS_UNIX_SOCKETS else None


def _beside(scoreboard: Path) -> Path:
    """Return the file with the token of the server whose scoreboard is given."""
    return scoreboard.with_suffix(run_files.CONTROL)


def _secret_of(address: Address) -> Path | None:
    """Return the file with the token of the server at ``address``; None if it needs none."""
    if address.scheme == "unix":
        return None
    from prefork.control.token import Secret

    for path in _secrets():
        scoreboard = path.with_suffix(run_files.SCOREBOARD)
        if scoreboard.exists() and run_files.server_of(scoreboard) is None:
            continue  # a dead server's, whose port may be another's by now
        with suppress(OSError, ValueError):  # gone by now, or something else
            if Secret.read(path).address == str(address):
                return path
    places = ", ".join(str(each) for each in run_files.directories())
    raise ControlError(
        f"there is no token for a server at {address} in {places}; is it another user's, or gone?"
    )


def _secrets() -> Iterator[Path]:
    """Yield the files that may hold tokens, in directories where no other user can put one."""
    for directory in run_files.directories():
        with suppress(OSError):
            if run_files.is_private(directory):
                found = directory.glob(f"*{run_files.CONTROL}")
                yield from (path for path in found if path.is_file())


def _listed(servers: list[RunningServer]) -> str:
    return ", ".join(f"{server.name} (pid {server.pid})" for server in servers)
