"""What is recorded about a process that hangs, before it is killed; also for ``prefork dump``.

The stacks are written by the process itself (faulthandler).  On POSIX systems a signal handler in C
does that, also while other C code holds the interpreter's lock; on Windows none come then.  A dump
is complete once its file has stopped growing.
"""

import contextlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from prefork.logs.log import timestamp
from prefork.platform.base import Child, Platform

LOOK: Final = 0.02  #: seconds between two looks at a growing dump
PATIENCE: Final = 0.3  #: seconds that a process has to begin one; a suspended one never does
NO_STACKS: Final = (
    "no stacks came: the process is suspended or, on Windows, C code holds the interpreter's lock"
)
KEPT: Final = 100  #: incidents kept in the directory

_FRAME: Final = re.compile(r'  File "(?P<file>[^"]*)", line (?P<line>\d+) in (?P<function>.*)')


_OURS: Final = str(Path(__file__).parent) + os.sep
_LIBRARY: Final = (str(Path(os.__file__).parent) + os.sep, "<frozen")


@dataclass(slots=True)
class Inspection:
    """The look at one process: its dump grows until it is done."""

    child: Child
    kernel: dict[str, str]
    give_up_at: float
    done: Callable[[dict[str, Any]], None]
    size: int = 0


class Inspector:
    """Takes the stacks of processes, many at a time, without waiting for any."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._open: list[Inspection] = []

    def inspect(self, child: Child, now: float, done: Callable[[dict[str, Any]], None]) -> None:
        """Take the stacks and the kernel state of ``child``; hand them to ``done``."""
        # The kernel's view comes first: the signal for the stacks changes what it waits in.
        kernel = self._platform.kernel_state(child)
        if child.program:
            # It knows nothing of our signal, which would end it.
            threads = self._platform.thread_states(child)
            done({**_report(child, kernel, ""), "threads": threads})
            return
        self._platform.ask_for_stacks(child)
        self._open.append(Inspection(child, kernel, now + PATIENCE, done))
        self._next_look = now + LOOK

    def deadline(self) -> float | None:
        """Return when to look again; None if nothing is open."""
        return self._next_look if self._open else None

    def look(self, now: float) -> None:
        """Finish the inspections whose dumps are complete or will not come."""
        if not self._open or now < self._next_look:
            return
        self._next_look = now + LOOK
        for inspection in tuple(self._open):
            size = os.fstat(inspection.child.dump).st_size
            grown, inspection.size = size != inspection.size, size
            if (size and not grown) or now >= inspection.give_up_at:
                self._finish(inspection)

    def forget(self, child: Child) -> None:
        """Finish at once with what there is, because the process has ended."""
        for inspection in tuple(self._open):
            if inspection.child is child:
                self._finish(inspection)

    def _finish(self, inspection: Inspection) -> None:
        self._open.remove(inspection)
        child = inspection.child
        stacks = self._platform.stacks(child).decode("utf-8", "replace")
        inspection.done(_report(child, inspection.kernel, stacks))


def _report(child: Child, kernel: dict[str, str], stacks: str) -> dict[str, Any]:
    report = {
        "slot": child.slot,
        "generation": child.generation,
        "pid": child.pid,
        "stacks": stacks,
        "kernel": kernel,
    }
    if not stacks and not child.program:
        report["note"] = NO_STACKS
    return report


def guilty_frame(stacks: str) -> str | None:
    """Return where the user's code stands, as ``function (file:line)``; None if nowhere.

    That is the innermost frame outside the standard library and prefork: a wait deep in
    ``threading`` explains nothing.  The main thread comes first, unless the work is in others.
    """
    sections = stacks.split("\n\n")
    sections.sort(key=lambda section: not section.startswith("Current thread"))
    for section in sections:
        for frame in _FRAME.finditer(section):
            if _is_the_users(frame["file"]):
                return f"{frame['function']} ({frame['file']}:{frame['line']})"
    return None


def _is_the_users(file: str) -> bool:
    # What is installed lies inside the standard library's directory, outside of environments.
    installed = "/site-packages/" in file or "/dist-packages/" in file
    return not file.startswith(_OURS) and (installed or not file.startswith(_LIBRARY))


def write_incident(directory: Path | None, report: dict[str, Any]) -> Path | None:
    """Write ``report`` as a JSON file of its own; None when there is no place for it."""
    if directory is None:
        return None
    place = "mold" if report["slot"] is None else f"slot{report['slot']}"
    name = f"{timestamp().replace(':', '')}-{place}-pid{report['pid']}.json"
    path = directory / name
    readable = {**report, "stacks": str(report["stacks"]).splitlines()}
    with contextlib.suppress(OSError):
        directory.mkdir(mode=0o700, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(readable), indent=2) + b"\n")
        _forget_oldest(directory)
        return path
    return None


def _forget_oldest(directory: Path) -> None:
    for path in sorted(directory.glob("*.json"))[:-KEPT]:
        path.unlink(missing_ok=True)
