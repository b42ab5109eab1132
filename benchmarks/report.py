"""Results as the tables of docs/internals/measurements.md."""

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import Load


@dataclass(frozen=True, slots=True)
class Options:
    """How much to measure, and with what."""

    load: Load
    rounds: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of a benchmark's table."""

    what: str
    value: str
    target: str = ""
    met: bool | None = None


def at_most(what: str, value: float, limit: float, unit: str = "", note: str = "") -> Measure:
    """Return the line for ``value``, which should not exceed ``limit``."""
    shown = f"{_shown(value)} {unit}".strip() + note
    return Measure(what, shown, f"≤ {limit:g} {unit}".strip(), value <= limit)


def at_least(what: str, value: float, limit: float, unit: str = "", note: str = "") -> Measure:
    """Return the line for ``value``, which should not be below ``limit``."""
    shown = f"{_shown(value)} {unit}".strip() + note
    return Measure(what, shown, f"≥ {limit:g} {unit}".strip(), value >= limit)


def spread(values: Sequence[float], unit: str, scale: float = 1.0) -> str:
    """Return median, ninetieth percentile and maximum as text, in ``unit``."""
    scaled = sorted(value * scale for value in values)
    middle, late = statistics.median(scaled), percentile(scaled, 0.9)
    return f"median {_shown(middle)}, p90 {_shown(late)}, max {_shown(scaled[-1])} {unit}"


def percentile(values: Sequence[float], part: float) -> float:
    """Return the smallest value that at least ``part`` of ``values`` do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


def markdown(name: str, measures: Sequence[Measure]) -> str:
    """Return the table of a benchmark."""
    verdicts = {None: "", True: "met", False: "missed"}
    lines = [f"## {name}", "", "| what | measured | target | |", "|---|---|---|---|"]
    lines += [
        f"| {each.what} | {each.value} | {each.target} | {verdicts[each.met]} |"
        for each in measures
    ]
    return "\n".join([*lines, ""])


def machine() -> str:
    """Return one line on what the numbers were taken on, and how busy it was."""
    uname = Path("/proc/sys/kernel/osrelease").read_text().strip()
    cpus = Path("/proc/cpuinfo").read_text().count("processor\t")
    busy = Path("/proc/loadavg").read_text().split()[0]
    python = sys.version.split()[0]
    return f"Python {python}, Linux {uname}, {cpus} cores, load average {busy} at the start."


def progress(text: str) -> None:
    """Tell the person who waits how far it is."""
    print(text, file=sys.stderr, flush=True)


def _shown(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
