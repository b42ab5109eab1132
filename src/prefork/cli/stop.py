"""``prefork stop``: stop the server, and wait until it is gone."""

from collections.abc import Sequence
from typing import Final

from prefork.cli.operator import connected, operator_parser, parsed, print_json, refuse_mistakes
from prefork.cli.waiting import until_gone

#: Seconds that the interpreter may take to end after all is closed.
PATIENCE: Final = 5.0


def run(argv: Sequence[str]) -> int:
    """Stop the server.  Raises SettingsError, ControlError."""
    parser = operator_parser(
        "stop", "[options]", "Stop the server gracefully: it finishes its connections first."
    )
    parser.add("now", "--now", help="stop at once, without finishing connections")
    line = parsed(parser, argv)
    refuse_mistakes(line)
    with connected(line) as control:
        status = control.ask("status")
        name = status["name"]
        with until_gone(status["pid"], PATIENCE):
            control.ask("stop", now=line.has("now"))
            control.wait_closed()
    if line.has("json"):
        print_json({"name": name, "state": "stopped"})
    else:
        print(f"{name} has stopped")
    return 0
