"""Runs steps, each with its output in one piece, and keeps what is to be said at the end."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple


class Step(NamedTuple):
    """A command that passes or fails."""

    name: str
    command: list[str]


class Report:
    """What was done, what failed, and what could not be done."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.failed: list[str] = []
        self.missing: list[str] = []
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def note(self, name: str, *, passed: bool, took: float) -> None:
        """Note how a step ended, and after how many seconds."""
        with self._lock:
            self.done.append(f"{'ok' if passed else 'FAILED':<6} {name}, {took:.0f} s")
            if not passed:
                self.failed.append(name)

    def close(self) -> int:
        """Print the closing list; return the exit status."""
        print("\n" + "=" * 30 + " summary " + "=" * 30)
        for line in self.done:
            print("  " + line)
        print("could not run:" if self.missing else "could not run: nothing")
        for line in self.missing:
            print("  " + line)
        print(f"it took {time.monotonic() - self._began:.0f} s")
        print("FAILED: " + "; ".join(self.failed) if self.failed else "everything that ran passed")
        return 1 if self.failed else 0


def run(step: Step, report: Report) -> bool:
    """Run a step with its output in ours as it comes; tell whether it passed."""
    print(_title(step.name), flush=True)
    began = time.monotonic()
    passed = subprocess.run(step.command, stdin=subprocess.DEVNULL).returncode == 0
    report.note(step.name, passed=passed, took=time.monotonic() - began)
    return passed


def side_by_side(steps: list[Step], report: Report, jobs: int = 2) -> None:
    """Run ``steps``, ``jobs`` at a time; the output of each is printed when it has ended."""
    printing = threading.Lock()

    def run_quietly(step: Step) -> None:
        began = time.monotonic()
        with tempfile.TemporaryFile() as output:
            passed = run_into(step.command, output.fileno()) == 0
            took = time.monotonic() - began
            output.seek(0)
            text = output.read().decode("utf-8", "replace").strip()
        report.note(step.name, passed=passed, took=took)
        with printing:
            print(_title(step.name) + "\n" * bool(text) + text, flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(run_quietly, steps))


def run_into(command: list[str], output: int) -> int:
    """Run ``command`` with its output in the descriptor ``output``; return its exit status."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
    )
    return done.returncode


def _title(name: str) -> str:
    return "\n" + f" {name} ".center(69, "-")
