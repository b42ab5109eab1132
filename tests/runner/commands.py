"""The commands of `./test`: which steps each of them takes, in which order."""

from __future__ import annotations

import os
import re
import signal
import threading
from typing import TYPE_CHECKING

from runner import ROOT, environments, interpreters, programs, repeat, suites
from runner.report import Report, Step, run, side_by_side

if TYPE_CHECKING:
    from runner.interpreters import Python

#: What would change how the tests behave: settings of a server around us.
_FOREIGN = re.compile(
    "PREFORK_.*|PORT|WEB_CONCURRENCY|LISTEN_.*|NOTIFY_SOCKET|WATCHDOG_.*|RUNTIME_DIRECTORY"
    "|PYTHON(PATH|HOME|WARNINGS|DONTWRITEBYTECODE)|PYTEST_.*|PYENV_VERSION|VIRTUAL_ENV|NO_COLOR"
)


def main(arguments: list[str], usage: str) -> int:
    """Do what the command line asks for; return the exit status."""
    if arguments and arguments[0] in ("-h", "--help"):
        print(usage)
        return 0
    os.chdir(ROOT)
    # A shell has what it starts in the background ignore SIGINT, and so would all servers of tests.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if _FOREIGN.fullmatch(name)]:
        del os.environ[name]
    report = Report()
    pythons = interpreters.find()
    if not pythons:
        lowest = "{}.{}".format(*interpreters.LOWEST)
        report.failed.append(f"no CPython from {lowest} up was found")
    elif not arguments or arguments == ["all"]:
        _run_everything(pythons, report, complete=bool(arguments))
    else:
        _run_on_lowest(pythons[0], arguments, report)
    return report.close()


def _run_on_lowest(python: Python, arguments: list[str], report: Report) -> None:
    """Run what one Python is enough for."""
    command, *words = arguments
    if arguments != ["fast"]:
        programs.install(report)
    if not environments.prepare(python, report):
        return
    if arguments == ["fast"]:
        side_by_side(suites.checks(python), report)
        suites.run_quick(python, report)
    elif command == "windows":
        suites.run_windows(python, words, report)
    elif arguments == ["coverage"]:
        run(suites.coverage(python), report)
    elif command == "repeat":
        repeat.run(python, words, report)
    else:
        program = python.tool("python")
        os.execv(program, [program, "-m", "pytest", *arguments])


def _run_everything(pythons: list[Python], report: Report, *, complete: bool) -> None:
    """Run the checks, and the tests of each system: all of them if ``complete``."""
    lowest, *others = pythons
    for version in sorted(interpreters.promised() - {python.version for python in pythons}):
        report.missing.append("Python {}.{}: not installed".format(*version))
    programs.install(report)
    if not environments.prepare(lowest, report):
        return
    prepared: list[Python] = []
    # Made while the tests of the lowest run, which wait more than they compute.
    making = threading.Thread(target=_prepare_all, args=(others, prepared, report))
    making.start()
    side_by_side(_static_steps(lowest), report)
    suites.run_all(lowest, report)
    making.join()
    for python in prepared:
        if complete:
            suites.run_all(python, report)
        else:
            suites.run_versions(python, report)
    suites.run_windows(lowest, [] if complete else ["-m", "essential"], report)


def _static_steps(python: Python) -> list[Step]:
    return [*suites.checks(python), suites.docs(python), suites.coverage(python)]


def _prepare_all(pythons: list[Python], prepared: list[Python], report: Report) -> None:
    prepared += [python for python in pythons if environments.prepare(python, report)]
