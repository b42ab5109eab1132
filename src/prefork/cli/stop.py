"""``prefork stop``: stop the server, and wait until it is gone."""

from collections.abc import Sequence

from prefork.cli.operator import connected, operator_parser, parsed, print_json, refuse_mistakes


def run(argv: Sequence[str]) -> int:
    """Stop the server.  Raises SettingsError, ControlError."""
    parser = operator_parser(
        "stop", "[options]", "Stop the server: what is being served is finished first."
    )
    parser.add("now", "--now", help="stop at once, without finishing")
    line = parsed(parser, argv)
    refuse_mistakes(line)
    with connected(line) as control:
        name = control.ask("status")["name"]
        control.ask("stop", now=line.has("now"))
        control.wait_closed()
    if line.has("json"):
        print_json({"name": name, "state": "stopped"})
    else:
        print(f"{name} has stopped")
    return 0
