"""``prefork why``: the pool's last decisions, each with the numbers it was taken from."""

import datetime
from collections.abc import Sequence
from typing import Any

from prefork.cli.operator import connected, operator_parser, parsed, print_json, refuse_mistakes


def run(argv: Sequence[str]) -> int:
    """Print the decisions, oldest first.  Raises SettingsError, ControlError."""
    parser = operator_parser(
        "why", "[options]", "Show the pool's last decisions, with the numbers behind each."
    )
    line = parsed(parser, argv)
    refuse_mistakes(line)
    with connected(line) as control:
        result = control.ask("why")
    if line.has("json"):
        print_json(result)
    else:
        print("\n".join(_text(decision) for decision in result["decisions"]) or "none yet")
    return 0


def _text(decision: dict[str, Any]) -> str:
    moment = datetime.datetime.fromtimestamp(decision["at"]).astimezone()
    before, after = decision["before"], decision["after"]
    change = "" if before == after else f" {before} → {after}"
    inputs = " ".join(f"{key}={_number(value)}" for key, value in decision["inputs"].items())
    text = f"{moment:%Y-%m-%d %H:%M:%S}  {decision['kind']}{change}: {decision['why']}"
    return f"{text}  [{inputs}]" if inputs else text


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.6g}"
