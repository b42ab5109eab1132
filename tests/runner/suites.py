"""The checks, and which tests run on which system."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from runner.attempts import attempt
from runner.report import Report, Step, run

if TYPE_CHECKING:
    from runner.interpreters import Python

JOBS = os.environ.get("JOBS", "3")

#: The tests that are about Windows alone, and what makes a Windows Python.
WINDOWS = "tests/wine"
_WINDOWS_TYPES = "--strict --config-file .mypy-windows.ini".split()
_TEST_TYPES = "--config-file tests/mypy.ini tests".split()
_INSIDE_TYPES = [*_TEST_TYPES[:-1], *"--platform win32 --cache-dir .mypy_cache/inside".split()]


def checks(python: Python) -> list[Step]:
    """Return what reads the code and runs none of it, the slowest first."""
    mypy, ruff = python.tool("mypy"), python.tool("ruff")
    return [
        Step("mypy", [mypy, "--strict"]),
        Step("mypy, tests", [mypy, *_TEST_TYPES]),
        Step("mypy, Windows", [mypy, *_WINDOWS_TYPES]),
        Step("mypy, tests in Windows", [mypy, *_INSIDE_TYPES, *_inside()]),
        Step("import-linter", [python.tool("lint-imports"), "--no-logo"]),
        Step("ruff check", [ruff, "check", "--quiet"]),
        Step("ruff format", [ruff, "format", "--check", "--quiet"]),
    ]


def _inside() -> list[str]:
    """Return the modules of tests that run in a Windows Python."""
    return sorted(str(path) for path in Path(WINDOWS, "inside").glob("*.py"))


def docs(python: Python) -> Step:
    """Return the build of the documentation, in which every warning is an error."""
    words = "-q -W --keep-going -b html docs docs/_build/html".split()
    return Step("docs", [python.tool("sphinx-build"), *words])


def coverage(python: Python) -> Step:
    """Return what runs tests/core and names the branches of the core that none of them takes."""
    return Step("coverage of the core", [python.tool("python"), "tests/runner/coverage.py"])


def run_quick(python: Python, report: Report) -> None:
    """Run the tests that start no server."""
    _run_pytest(python, python.name, ["-m", "not slow"], report)


def run_versions(python: Python, report: Report) -> None:
    """Run the quick tests, and those that depend on the version of Python."""
    _run_pytest(python, python.name, ["-m", "not slow or versions"], report)


def run_all(python: Python, report: Report) -> None:
    """Run all tests but those of Windows."""
    _run_pytest(python, python.name, [], report)


def run_windows(python: Python, arguments: list[str], report: Report) -> None:
    """Run tests of Windows, in the one Windows Python; or note why that cannot be."""
    name = "Windows under Wine"
    print(f"\nlooking for a Windows Python ({WINDOWS}/make.py) ...", flush=True)
    problem = attempt([python.tool("python"), WINDOWS + "/make.py"], limit=600)
    if problem:
        report.missing.append(f"{name}: {problem}")
        return
    _pytest(python, name, ["--wine", "tests/e2e", WINDOWS, *arguments], report)


def _run_pytest(python: Python, name: str, arguments: list[str], report: Report) -> None:
    _pytest(python, name, ["--ignore=" + WINDOWS, *arguments], report)


def _pytest(python: Python, name: str, arguments: list[str], report: Report) -> None:
    """Run tests, and note what was skipped and why."""
    results = python.environment / "results.xml"
    if results.exists():
        results.unlink()
    run(Step("pytest, " + name, [*pytest(python), "--junitxml", str(results), *arguments]), report)
    if not results.exists():
        return
    skipped = Counter(
        element.get("message") or "no reason given"
        for element in ElementTree.parse(str(results)).iter("skipped")
        if element.get("type") == "pytest.skip"
    )
    for reason, count in sorted(skipped.items()):
        report.missing.append(f"{name}, {count} test(s): {reason}")


def pytest(python: Python) -> list[str]:
    """Return the beginning of a command that runs tests side by side."""
    # The tests are listed by module, and the last ones take longest.
    return [python.tool("python"), *"-m pytest -q -n".split(), JOBS, "--dist", "worksteal"]
