"""``prefork status``: the pool at a glance, also while the arbiter is stopped."""

import json
import select
from collections.abc import Callable, Sequence
from typing import Any

from prefork.cli.arguments import Line
from prefork.cli.operator import (
    connected,
    found,
    operator_parser,
    parsed,
    print_json,
    refuse_mistakes,
)
from prefork.errors import ControlError, ProtocolError
from prefork.status import read_status

Status = dict[str, Any]

_PERIOD = 1.0


def run(argv: Sequence[str]) -> int:
    """Print the status, with ``--watch`` each second.  Raises SettingsError, ControlError."""
    parser = operator_parser("status", "[options]", "Show the pool at a glance.")
    parser.add("watch", "--watch", help="show it anew each second, until Ctrl-C")
    line = parsed(parser, argv)
    refuse_mistakes(line)
    look = _look(line)
    if line.has("watch"):
        _watch(look, as_json=line.has("json"))
    elif line.has("json"):
        print_json(look())
    else:
        # rich takes ten times as long to import as all else here; JSON does without it.
        from prefork.cli import tables

        tables.console().print(tables.status_table(look()))
    return 0


def _look(line: Line) -> Callable[[], Status]:
    """Return what looks: into the server's file, or, with ``--control``, by asking it."""
    if line.has("control"):
        control = connected(line)
        return lambda: dict(control.ask("status"))
    server = found(line.last("name"))

    def read() -> Status:
        try:
            return read_status(server.scoreboard)
        except (OSError, ProtocolError) as error:
            raise ControlError(f"the status of {server.name} cannot be read: {error}") from error

    return read


def _watch(look: Callable[[], Status], *, as_json: bool) -> None:
    try:
        if as_json:
            _watch_as_lines(look)
        else:
            _watch_as_table(look)
    except KeyboardInterrupt:
        pass  # that is how one stops watching


def _watch_as_lines(look: Callable[[], Status]) -> None:
    while True:
        print(json.dumps(look(), ensure_ascii=False), flush=True)
        select.select([], [], [], _PERIOD)


def _watch_as_table(look: Callable[[], Status]) -> None:
    from rich.live import Live

    from prefork.cli import tables

    with Live(tables.status_table(look()), console=tables.console(), auto_refresh=False) as live:
        while True:
            select.select([], [], [], _PERIOD)
            live.update(tables.status_table(look()), refresh=True)
