"""What the operator commands have in common: their flags, and which server they speak to."""

import json
from collections.abc import Sequence

from prefork.addresses import parse_address
from prefork.cli.arguments import Line, Parser
from prefork.cli.client import Control
from prefork.errors import ControlError, ListenError, SettingsError
from prefork.runtime import RunningServer, running_servers


def operator_parser(command: str, usage: str, says: str) -> Parser:
    """Return a parser with the flags that every operator command takes."""
    parser = Parser(command, usage, says)
    parser.add("name", "--name", "-n", metavar="NAME", help="the server (default: the only one)")
    parser.add("control", "--control", metavar="ADDRESS", help="its control socket instead")
    parser.add("json", "--json", help="print JSON")
    return parser


def parsed(parser: Parser, argv: Sequence[str], most_words: int = 0) -> Line:
    """Return ``argv`` taken apart, with its mistakes still inside."""
    line = parser.parse(argv, most_words)
    address = line.last("control")
    if address is not None:
        try:
            is_unix = parse_address(address).scheme == "unix"
        except ListenError:
            is_unix = False
        if not is_unix:
            line.problems.append(
                f"control cannot be {address!r} (from flag --control): "
                "it is unix:PATH or unix:@NAME"
            )
    return line


def refuse_mistakes(line: Line) -> None:
    """Raise SettingsError with all the mistakes of ``line``, if it has any."""
    if line.problems:
        raise SettingsError(line.problems)


def connected(line: Line) -> Control:
    """Return a connection to the server that ``line`` means.  Raises ControlError."""
    address = line.last("control")
    if address is not None:
        return Control(str(parse_address(address)))
    server = found(line.last("name"))
    if server.control is None:
        raise ControlError(f"the server {server.name} (pid {server.pid}) has no control socket")
    return Control(server.control)


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


def _listed(servers: list[RunningServer]) -> str:
    return ", ".join(f"{server.name} (pid {server.pid})" for server in servers)
