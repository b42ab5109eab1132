"""How long a user waits from the command to the first answer, against gunicorn's sync worker.

The servers take turns, both with two workers, so what else the machine does meets them alike.
"""

import os
import select
import signal
import socket
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic

from benchmarks.report import Measure, Options, at_most, progress, spread
from benchmarks.servers import PATIENCE, ROOT

WORKERS = 2
LEAST_ROUNDS = 10
LIMIT = 1.3  #: times gunicorn

#: Seconds between two attempts to connect: short beside what is measured, and cheap.
AGAIN = 0.001
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

#: The commands as a user has them, beside the interpreter.
COMMANDS = Path(sys.executable).parent


def run(options: Options) -> list[Measure]:
    """Start each server in turn; compare the medians."""
    rounds = max(options.rounds, LEAST_ROUNDS)
    took: dict[str, list[float]] = {"prefork": [], "prefork, spawn": [], "gunicorn": []}
    with tempfile.TemporaryDirectory(prefix="prefork-benchmark-") as directory:
        for number in range(rounds):
            progress(f"  round {number + 1} of {rounds}")
            for name, times in took.items():
                port = free_port()
                times.append(first_answer(command(name, port, WORKERS, directory), port))
    times = {name: spread(values, "ms", 1000) for name, values in took.items()}
    rival = statistics.median(took["gunicorn"])
    ratio = statistics.median(took["prefork"]) / rival
    spawned = statistics.median(took["prefork, spawn"]) / rival
    return [
        *(Measure(f"{name}: from the command to the first answer", times[name]) for name in took),
        at_most("prefork, as a multiple of gunicorn", ratio, LIMIT, "×"),
        Measure("prefork --start spawn, likewise", f"{spawned:.3g} ×"),
    ]


def command(name: str, port: int, workers: int, directory: str) -> list[str]:
    """Return the command line of the server ``name`` at ``port``."""
    address = f"127.0.0.1:{port}"
    if name.startswith("gunicorn"):
        argv = [str(COMMANDS / "gunicorn"), "benchmarks.hello:app", "--log-level", "warning"]
        argv += ["--preload"] if "preload" in name else []
    else:
        argv = [str(COMMANDS / "prefork"), "serve", "benchmarks.hello:handle"]
        argv += ["--control", f"unix:{directory}/control", "--name", f"start-{os.getpid()}"]
        argv += ["--start", "spawn"] if "spawn" in name else []
    return [*argv, "--bind", address, "--workers", str(workers)]


def first_answer(argv: Sequence[str], port: int) -> float:
    """Return the seconds from the start of ``argv`` to the first byte of an answer."""
    start = monotonic()
    with Started(argv):
        answer(port, start + PATIENCE)
        return monotonic() - start


class Started:
    """A process from its command to its graceful end."""

    def __init__(self, argv: Sequence[str]) -> None:
        silence = (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed has been compiled
        self.pid = os.posix_spawn(argv[0], argv, environ, file_actions=[silence])

    def __enter__(self) -> "Started":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)


def answer(port: int, until: float) -> None:
    """Ask until somebody listens, and wait for the first byte of the answer."""
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        except ConnectionRefusedError:
            if monotonic() > until:
                raise
            select.select([], [], [], AGAIN)
            continue
        with connection:
            connection.sendall(REQUEST)
            assert connection.recv(1)
        return


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
