"""Windows, as Wine has it, as the place where the servers of the tests run."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rig.hosts import Host
from rig.server import Server
from rig.waiting import LIMIT
from wine import INSIDE, SOURCE, Wine, copied, new_mark, processes_of, windows_path
from wine.make import directory, environment


class WineServer(Server):
    """A server that is a Windows program; ``pid`` is what Windows calls it."""

    patience = 4 * LIMIT
    _known_pid: int | None = None

    @property
    def pid(self) -> int:
        if self._known_pid is None:
            told = self.all("listening")  # not so where a test has the log
            self._known_pid = told[0]["pid"] if told else self.appear().status()["pid"]
        return self._known_pid

    def signal(self, signum: int) -> None:
        """Do to it what comes closest: Wine makes Ctrl-C of SIGINT, and of nothing else anything.

        There is no way to ask for an end that is always graceful.
        """
        assert signum in (signal.SIGINT, signal.SIGTERM), signum
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGINT)  # Wine becomes what it runs

    def queued(self, listener: int = 0) -> int:
        """Return how many wait there, which only Linux knows."""
        host, _, port = self.addresses[listener].removeprefix("tcp://").rpartition(":")
        family = "tcp6" if "[" in host else "tcp"
        entries = Path(f"/proc/net/{family}").read_text().splitlines()[1:]
        for entry in map(str.split, entries):
            if entry[3] == "0A" and int(entry[1].rpartition(":")[2], 16) == int(port):
                return int(entry[4].rpartition(":")[2], 16)
        raise LookupError(f"nobody listens on {port}")

    def end(self) -> None:
        with suppress(subprocess.TimeoutExpired):
            self.signal(signal.SIGINT)
            self.wait(3)
        for pid in processes_of(self.env):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.wait()
        self.close()


class WineHost(Host):
    """A Windows Python, whose processes an agent of ours in Windows deals with."""

    killed = "exit 1"  # so it is with the task manager: Windows has no other word for it
    pace = 24.0  # on a machine that is busy with other things
    first = ()
    tells_queues = False
    kernel = frozenset()

    def __init__(self, wine: Wine) -> None:
        self.wine = wine

    def server(self, arguments: Sequence[str], **options: Any) -> WineServer:
        return WineServer(arguments, host=self, **options)

    def python(self, *words: str) -> list[str]:
        return ["wine", str(self.wine.python), *words]

    def environment(self, runtime: Path, **variables: str) -> dict[str, str]:
        path = ";".join(windows_path(each) for each in (INSIDE / "site", SOURCE))
        return {
            **environment(self.wine.place, super().environment(runtime)),
            "WINEPREFIX": str(self.wine.prefix),
            **new_mark(),
            "PYTHONPATH": path,
            "PYTHONDONTWRITEBYTECODE": "1",
            "RIG_PROFILE": windows_path(runtime),
            **variables,
        }

    def launch(
        self, argv: Sequence[str], log: Path, **options: Any
    ) -> tuple["subprocess.Popen[bytes]", threading.Thread | None]:
        # Wine cannot hand a file of ours to Python: standard error is a pipe, and we copy.
        helped = "stderr" not in options
        options = {"stderr": subprocess.PIPE, **options}
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, **options)
        return process, copied(process.stderr, log) if helped else None

    def path(self, text: str) -> Path:
        return Path(text.removeprefix("Z:").replace("\\", "/"))

    def shown(self, path: Path) -> str:
        return windows_path(path)

    def kill(self, pid: int) -> None:
        self._told("kill", pid)

    def freeze(self, pid: int) -> None:
        self._told("suspend", pid)

    def thaw(self, pid: int) -> None:
        self._told("resume", pid)

    def is_alive(self, pid: int) -> bool:
        return self.wine.tell("alive", pid) != "gone"

    def is_asleep(self, pid: int) -> bool:
        return self.is_alive(pid)  # more cannot be seen

    def parent_of(self, pid: int) -> int:
        return int(self._told("parent", pid))

    def cpu_seconds(self, pid: int) -> float:
        return float(self._told("cpu", pid))

    def _told(self, verb: str, pid: int) -> str:
        answer = self.wine.tell(verb, pid)
        if answer == "gone":
            raise ProcessLookupError(pid)
        assert answer.startswith("done"), answer
        return answer.removeprefix("done").strip()


@contextmanager
def warm_host() -> Iterator[WineHost]:
    """Have Windows ready; a test run without the Windows Python that it asks for fails."""
    wine = Wine(directory())
    assert wine.is_made, f"there is no Windows Python in {wine.place}; run tests/wine/make.py"
    wine.keep()
    try:
        yield WineHost(wine)
    finally:
        wine.close()
