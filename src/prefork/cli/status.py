"""``prefork status``: the pool at a glance, also while the arbiter is stopped."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from prefork.cli.arguments import Line
from prefork.cli.listing import status_text
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
            print(status_text(look()))
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
            _watch_as_text(look)


def _watch_as_lines(look: Callable[[], Status]) -> None:
    while True:
        print(json.dumps(look(), ensure_ascii=False), flush=True)
        pause(_PERIOD)


def _watch_as_text(look: Callable[[], Status]) -> None:
    if not sys.stdout.isatty():  # there is nothing to draw over
        while True:
            print(status_text(look()), flush=True)
            pause(_PERIOD)
    # Only here: rich takes longer to import than all else.
    from rich.live import Live
    from rich.text import Text

    def drawn() -> Text:
        return Text(status_text(look()), no_wrap=True, overflow="ellipsis")

    with Live(drawn(), auto_refresh=False) as live:
        while True:
            pause(_PERIOD)
            live.update(drawn(), refresh=True)
