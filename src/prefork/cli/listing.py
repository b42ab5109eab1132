"""What ``prefork status`` shows to people: lines of text, so that nothing slow is imported."""

from collections.abc import Iterator, Sequence
from typing import Any

from prefork.settings.values import WORKERS

_COLUMNS = (
    *("slot", "pid", "gen", "state", "active", "accepted", "handled", "failed"),
    *("age", "busy for", "peer"),
)
#: These are words; numbers stand at the right of their column.
_WORDS = frozenset({"state", "peer"})


def status_text(status: dict[str, Any]) -> str:
    """Return the status object of the contract for the eye."""
    return "\n".join([*summary(status), "", *_table([_COLUMNS, *_workers(status["workers"])])])


def summary(status: dict[str, Any]) -> list[str]:
    """Return the lines above the table."""
    pool, totals = status["pool"], status["totals"]
    limits = WORKERS.show((pool["minimum"], pool["maximum"]))
    lines = [
        f"{status['name']}  pid {status['pid']}  {status['state']}  "
        f"generation {status['generation']}  up {span(status['uptime'])}",
        f"workers {limits}, {pool['target']} wanted: {pool['ready']} ready "
        f"({pool['busy']} busy, {pool['idle']} idle), {pool['starting']} starting, "
        f"{pool['draining']} draining",
        "  ".join(f"{key} {value}" for key, value in totals.items()),
    ]
    for listener in status["listeners"]:
        queued = "unknown" if listener["queued"] is None else listener["queued"]
        limit = "" if listener["backlog"] is None else f" of {listener['backlog']}"
        lines.append(f"{listener['address']}  queued {queued}{limit}")
    return lines


def span(seconds: float) -> str:
    """Return a time span in its two largest units."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours}h"
    return f"{hours}h {minutes}m" if hours else f"{minutes}m {rest}s"


def _workers(workers: list[dict[str, Any]]) -> Iterator[Sequence[str]]:
    keys = ("slot", "pid", "generation", "state", "active", "accepted", "handled", "failed")
    for worker in workers:
        yield (
            *(str(worker[key]) for key in keys),
            span(worker["age"]),
            span(worker["busy_for"]) if worker["busy"] else "",
            _printable(worker.get("peer") or worker.get("says") or ""),
        )


def _printable(text: str) -> str:
    """Return what a program reports of itself, without what could move a terminal's cursor."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _table(rows: list[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            text.ljust(width) if name in _WORDS else text.rjust(width)
            for name, text, width in zip(_COLUMNS, row, widths, strict=True)
        ]
        yield "  ".join(cells).rstrip()
