"""``prefork status``: the pool at a glance, also while the arbiter is stopped."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
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
from prefork.cli.waiting import pause
from prefork.errors import ControlError, ProtocolError
from prefork.status import read_status

Status = dict[str, Any]

_PERIOD = 1.0


def run(argv: Sequence[str]) -> int:
    """Print the status, with ``--watch`` each second.  Raises SettingsError, ControlError."""
    parser = operator_parser("status", "[options]", "Show the pool at a glance.")
    parser.add("watch", "--watch", help="repeat it each second, until Ctrl-C")
    line = parsed(parser, argv)
    refuse_mistakes(line)
    with _looking(line) as look:
        if line.has("watch"):
            _watch(look, as_json=line.has("json"))
        elif line.has("json"):
            print_json(look())
        else:
            # rich takes ten times as long to import as all else here; JSON does without it.
            from prefork.cli import tables

            tables.console().print(tables.status_table(look()))
    return 0


@contextlib.contextmanager
def _looking(line: Line) -> Iterator[Callable[[], Status]]:
    """Yield what looks: into the server's file, or, with ``--control``, by asking it."""
    if line.has("control"):
        with connected(line) as control:
            yield lambda: dict(control.ask("status"))
        return
    server = found(line.last("name"))

    def read() -> Status:
        try:
            return read_status(server.scoreboard)
        except FileNotFoundError as error:
            raise ControlError(f"the server {server.name} is gone") from error
        except (OSError, ProtocolError) as error:
            raise ControlError(f"the status of {server.name} cannot be read: {error}") from error

    yield read


def _watch(look: Callable[[], Status], *, as_json: bool) -> None:
    with contextlib.suppress(KeyboardInterrupt):  # that is how one stops watching
        if as_json:
            _watch_as_lines(look)
        else:
            _watch_as_tables(look)


def _watch_as_lines(look: Callable[[], Status]) -> None:
    while True:
        print(json.dumps(look(), ensure_ascii=False), flush=True)
        pause(_PERIOD)


def _watch_as_tables(look: Callable[[], Status]) -> None:
    from rich.live import Live

    from prefork.cli import tables

    console = tables.console()
    if not console.is_terminal:  # there is nothing to draw over
        while True:
            console.print(tables.status_table(look()))
            pause(_PERIOD)
    with Live(tables.status_table(look()), console=console, auto_refresh=False) as live:
        while True:
            pause(_PERIOD)
            live.update(tables.status_table(look()), refresh=True)
