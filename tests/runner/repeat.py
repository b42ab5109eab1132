"""Runs tests again and again while every processor is kept busy: a flaky one shows itself."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from runner.report import Report, run_into
from runner.suites import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.interpreters import Python

LONGEST_ROUND = 1800  #: seconds after which a busy process ends by itself

#: Computes until its time is over, or its parent has gone.
_BUSY = """
import os, time
parent, end = os.getppid(), time.monotonic() + {seconds}
while time.monotonic() < end and os.getppid() == parent:
    sum(range(100_000))
"""


def run(python: Python, words: list[str], report: Report) -> None:
    """Run the tests that ``words`` name as often as its first says; stop at the first failure."""
    if not words or not words[0].isdigit():
        report.failed.append("./test repeat N [WHAT...]: N is a number")
        return
    command = [*pytest(python), "-x", *_selection(words[1:])]
    for number in range(1, int(words[0]) + 1):
        began = time.monotonic()
        with tempfile.TemporaryFile() as output:
            with _busy_processors():
                passed = run_into(command, output.fileno()) == 0
            output.seek(0)
            text = output.read().decode("utf-8", "replace").strip()
        report.note(f"round {number}", passed=passed, took=time.monotonic() - began)
        print(f"round {number}: " + (text.splitlines()[-1] if passed and text else text))
        sys.stdout.flush()
        if not passed:
            return


def _selection(words: list[str]) -> list[str]:
    """Return pytest's arguments for paths, or for an expression that is none."""
    if not words:
        return ["tests/e2e"]
    paths = [word for word in words if Path(word.partition("::")[0]).exists()]
    others = [word for word in words if word not in paths]
    if others and not others[0].startswith("-"):
        others = ["-k", " or ".join(f"({word})" for word in others)]
    return [*(paths or ["tests"]), *others]


@contextmanager
def _busy_processors() -> Iterator[None]:
    """Keep every processor busy meanwhile, with a process of the usual priority for each."""
    code = _BUSY.format(seconds=LONGEST_ROUND)
    processes = [
        subprocess.Popen([sys.executable, "-S", "-c", code], stdin=subprocess.DEVNULL)
        for _ in range(len(os.sched_getaffinity(0)))
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
