"""Runs the benchmarks that are named, or all; prints a table of each."""

import argparse
import signal
import sys
from collections.abc import Callable
from functools import partial

from benchmarks import (
    cpu,
    even,
    grow,
    idle,
    loops,
    many,
    memory,
    ondemand,
    operators,
    replace,
    start,
    windows,
)
from benchmarks.load import compiled
from benchmarks.report import Measure, Options, machine, markdown, progress

BENCHMARKS: dict[str, Callable[[Options], list[Measure]]] = {
    "start": start.run,
    "operators": operators.run,
    "memory": memory.run,
    "cpu": cpu.run,
    "even": even.run,
    "replace-quiet": replace.run_quiet,
    "replace": partial(replace.run, start="fork"),
    "replace-spawn": partial(replace.run, start="spawn"),
    "idle": idle.run,
    "many": many.run,
    "ondemand": ondemand.run,
    "grow": grow.run,
    "loops": loops.run,
    "windows": windows.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds of cpu [7]")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run in them [2]")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends what was started, as Ctrl-C
    names = arguments.names or list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    print(machine(), end="\n\n")
    with compiled() as load:
        options = Options(load, arguments.rounds, arguments.seconds)
        for name in names:
            progress(f"{name} ...")
            print(markdown(name, BENCHMARKS[name](options)), flush=True)


if __name__ == "__main__":
    main()
