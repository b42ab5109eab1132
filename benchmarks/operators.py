"""What the operator commands cost: CPU time of the process and all it starts."""

import os
import statistics
import tempfile
from collections.abc import Sequence
from time import monotonic

from benchmarks.report import Measure, Options, at_most, progress, spread
from benchmarks.servers import PATIENCE
from benchmarks.start import COMMANDS, LEAST_ROUNDS, Started, answer, command, free_port

LIMIT = 0.1  #: CPU seconds

ASKED = (["status"], ["status", "--json"], ["why"], ["scale", "2"], ["stop"])


def run(options: Options) -> list[Measure]:
    """Run each command against a server of two workers, which ``stop`` ends."""
    rounds = max(options.rounds, LEAST_ROUNDS)
    spent: dict[str, list[float]] = {" ".join(words): [] for words in ASKED}
    for number in range(rounds):
        progress(f"  round {number + 1} of {rounds}")
        with tempfile.TemporaryDirectory(prefix="prefork-benchmark-") as directory:
            port = free_port()
            with Started(command("prefork", port, 2, directory)):
                answer(port, monotonic() + PATIENCE)
                for words in ASKED:
                    spent[" ".join(words)].append(cpu(words))
    return [
        at_most(
            f"prefork {name}: CPU",
            statistics.median(values),
            LIMIT,
            "s",
            f" ({spread(values, 'ms', 1000)})",
        )
        for name, values in spent.items()
    ]


def cpu(words: Sequence[str]) -> float:
    """Return the CPU seconds of ``prefork WORDS…``."""
    argv = [str(COMMANDS / "prefork"), *words, "--name", f"start-{os.getpid()}"]
    silence = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=[silence])
    _, status, usage = os.wait4(pid, 0)
    assert status == 0, argv
    return usage.ru_utime + usage.ru_stime
