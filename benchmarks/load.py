"""Compiles and runs the load generator, load.c."""

import contextlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("load.c")

#: Seconds that the generator may take beyond those it was told to work.
PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of the load generator has counted; durations in seconds."""

    ops: int
    errors: int
    seconds: float
    p50: float
    p99: float
    failures: list[tuple[int, float]]  #: the server's process id, 0 if not known; when


class Load:
    """The compiled load generator."""

    def __init__(self, program: Path) -> None:
        self.program = program

    def run(self, mode: str, port: int, clients: int, seconds: float) -> Outcome:
        """Load the server on ``port`` of the loopback for ``seconds``."""
        with self.running(mode, port, clients, seconds) as process:
            return outcome(process, seconds)

    @contextlib.contextmanager
    def running(
        self, mode: str, port: int, clients: int, seconds: float
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Load the server for at most ``seconds``; SIGTERM ends it earlier."""
        argv = [str(self.program), mode, str(port), str(clients), str(seconds)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
            try:
                yield process
            finally:
                process.kill()


def outcome(process: subprocess.Popen[bytes], patience: float = 0.0) -> Outcome:
    """Return what ``process`` has counted, once it has ended."""
    printed, _ = process.communicate(timeout=patience + PATIENCE)
    fields = json.loads(printed)
    fields["failures"] = [(pid, at) for pid, at in fields["failures"]]
    return Outcome(**fields)


@contextlib.contextmanager
def compiled() -> Iterator[Load]:
    """Compile the load generator into a directory that is removed at the end."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise SystemExit("the benchmarks need a C compiler (cc)")
    with tempfile.TemporaryDirectory(prefix="prefork-load-") as directory:
        program = Path(directory) / "load"
        subprocess.run([compiler, "-O2", "-Wall", "-o", program, SOURCE, "-lm"], check=True)
        yield Load(program)
