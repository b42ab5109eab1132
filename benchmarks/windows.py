"""Windows under Wine: five Python workers, against a C++ program of the original technique.

Both are children of prefork, share one listener and take turns at one named mutex; the C++ program
is ``tests/wine/sschild.cpp``, which prints nothing.  They take turns, started afresh in each round.
"""

import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path

from benchmarks.report import Measure, Options, at_least, progress
from benchmarks.servers import ROOT, Prefork

WORKERS = 5
CLIENTS = 8
PROGRAM = ROOT / "tests" / "wine" / "sschild.cpp"


def run(options: Options) -> list[Measure]:
    """Measure connections a second."""
    rates: dict[str, list[float]] = {"Python": [], "C++": []}
    errors = 0
    with compiled() as program:
        for number in range(options.rounds):
            progress(f"  round {number + 1} of {options.rounds}")
            for name in list(rates)[:: 1 if number % 2 else -1]:
                with started(name, program) as server:
                    outcome = options.load.run("conn", server.port, CLIENTS, options.seconds)
                rates[name].append(outcome.ops / outcome.seconds)
                errors += outcome.errors
    ratios = [ours / rival for ours, rival in zip(rates["Python"], rates["C++"], strict=True)]
    medians = " and ".join(f"{statistics.median(rates[name]):.0f}" for name in rates)
    note = f" ({medians}; ratios {min(ratios):.2f} to {max(ratios):.2f}; {errors} errors)"
    what = "connections a second, as part of the C++ program's"
    return [at_least(what, statistics.median(ratios), 0.5, note=note)]


@contextmanager
def started(name: str, program: Path) -> Iterator[Prefork]:
    """Start the server called ``name``, with every worker ready."""
    if name == "Python":
        words = ["serve", "benchmarks.handlers:answer_once"]
    else:
        words = ["exec", "--accept-mutex-name", "sschild", "--ready-after", "0.1"]
    # A program cannot be asked to end: it is ended.
    words += ["--graceful-timeout", "1"]
    ending = [] if name == "Python" else ["--", _windows_path(program), "{fd}"]
    with ExitStack() as opened:
        server = opened.enter_context(WindowsPrefork(words, ending))
        server.until_workers(WORKERS)
        yield server


class WindowsPrefork(Prefork):
    """A server in the Windows Python of the tests."""

    _ending = signal.SIGINT  # the only signal that Wine passes on, as Ctrl-C

    def __init__(self, words: list[str], ending: list[str]) -> None:
        sys.path.append(str(ROOT / "tests"))
        make = import_module("wine.make")  # of the tests, which have made the Python as well
        place = make.directory()
        environ = {**make.environment(place), "PYTHONPATH": _windows_path(ROOT / "src")}
        python = ["wine", str(place / "py" / "python.exe"), "-m", "prefork"]
        words = [*words, "--bind", "127.0.0.1:0", "--workers", str(WORKERS)]
        self.launch([*python, *words, "--log-format", "json", *ending], environ)


@contextmanager
def compiled() -> Iterator[Path]:
    """Yield the C++ program, made for Windows."""
    with tempfile.TemporaryDirectory(prefix="prefork-benchmark-") as place:
        program = Path(place) / "SSChild.exe"
        words = ["x86_64-w64-mingw32-g++", "-O2", "-static", str(PROGRAM), "-o", str(program)]
        subprocess.run([*words, "-lws2_32"], check=True)
        yield program


def _windows_path(path: Path) -> str:
    return "Z:" + str(path).replace("/", "\\")
