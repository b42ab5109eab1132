"""What the operator commands show to people.  Imported late: rich is slow to start."""

from typing import Any, Final

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from prefork.settings.values import WORKERS

#: Columns of a listing that goes into a file or a pipe, where nothing should be cut off.
_WIDE: Final = 200


def console() -> Console:
    """Return a console for standard output."""
    usual = Console(highlight=False)
    return usual if usual.is_terminal else Console(highlight=False, width=_WIDE)


def status_table(status: dict[str, Any]) -> Group:
    """Return the status object of the contract for the eye."""
    return Group(*(Text(line) for line in summary(status)), Text(), _workers(status["workers"]))


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


def _workers(workers: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("slot", "pid", "gen", "state", "active", "accepted", "handled", "failed", "age"):
        table.add_column(name, justify="left" if name == "state" else "right")
    table.add_column("busy for", justify="right")
    table.add_column("peer")
    for worker in workers:
        keys = ("slot", "pid", "generation", "state", "active", "accepted", "handled", "failed")
        table.add_row(
            *(str(worker[key]) for key in keys),
            span(worker["age"]),
            span(worker["busy_for"]) if worker["busy"] else "",
            escape(worker.get("peer") or worker.get("says") or ""),
        )
    return table
