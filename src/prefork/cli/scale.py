"""``prefork scale``: change how many workers there may be."""

from collections.abc import Sequence

from prefork.cli.operator import connected, operator_parser, parsed, print_json, refuse_mistakes
from prefork.settings.values import WORKERS


def run(argv: Sequence[str]) -> int:
    """Set the limits.  Raises SettingsError, ControlError."""
    parser = operator_parser(
        "scale", "N|MIN..MAX [options]", "Change how many workers there may be."
    )
    line = parsed(parser, argv, most_words=1)
    minimum, maximum = _limits(line.words, line.problems)
    refuse_mistakes(line)
    with connected(line) as control:
        result = control.ask("scale", minimum=minimum, maximum=maximum)
    if line.has("json"):
        print_json(result)
    else:
        limits = WORKERS.show((result["minimum"], result["maximum"]))
        print(f"workers: {limits}, {result['target']} wanted now")
    return 0


def _limits(words: list[str], problems: list[str]) -> tuple[int, int]:
    if not words:
        problems.append("how many workers is missing, as in prefork scale 4 or prefork scale 1..8")
        return 0, 0
    try:
        limits: tuple[int, int] = WORKERS.convert(words[0])
    except ValueError:
        allowed = WORKERS.allowed.removesuffix(" or auto")
        problems.append(f"workers cannot be {words[0]!r} (from argument): {allowed}")
        return 0, 0
    return limits
