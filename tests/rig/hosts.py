"""Where the servers of the tests run: what is asked of the system goes through a host."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rig import processes
from rig.waiting import until

#: Settings of a server around us, which would change how the tests behave.
_FOREIGN = re.compile(
    "PREFORK_.*|PORT|WEB_CONCURRENCY|LISTEN_.*|NOTIFY_SOCKET|WATCHDOG_.*|RUNTIME_DIRECTORY"
)


class Host:
    """This system."""

    #: What the log says of a worker that somebody has killed.
    killed = "SIGKILL"
    #: How many times as long as on a Linux of its own it takes to start a process.
    pace = 1.0
    #: Begins the command of a server that goes before other processes, as far as we may ask that.
    first: tuple[str, ...] = ("nice", "-n", "-15") if os.geteuid() == 0 else ()
    #: Whether it says how many clients wait to be accepted.
    tells_queues = True
    #: What is known of a hung process besides its stacks.
    kernel = frozenset({"wchan", "syscall", "state"})

    def server(self, arguments: Sequence[str], **options: Any) -> Any:
        """Start a ``rig.server.Server`` on it."""
        raise NotImplementedError

    def python(self, *words: str) -> list[str]:
        """Return a command line of Python."""
        return [sys.executable, *words]

    def prefork(self, *arguments: str, python: Sequence[str] = ()) -> list[str]:
        """Return the command line of ``prefork`` with ``arguments``, and flags for ``python``."""
        return self.python(*python, "-m", "prefork", *arguments)

    def environment(self, runtime: Path, **variables: str) -> dict[str, str]:
        """Return our environment with a run-time directory of its own, and ``variables``."""
        ours = {key: value for key, value in os.environ.items() if not _FOREIGN.fullmatch(key)}
        return {**ours, "XDG_RUNTIME_DIR": str(runtime), **variables}

    def operate(
        self, env: Mapping[str, str], command: str, *arguments: str, cwd: Path | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command of ``prefork`` to its end."""
        return subprocess.run(
            self.prefork(command, *arguments),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=30,
            check=False,
        )

    def launch(
        self, argv: Sequence[str], log: Path, **options: Any
    ) -> tuple["subprocess.Popen[bytes]", threading.Thread | None]:
        """Start a server that writes its log to the file ``log``; return the thread that helps."""
        with log.open("ab") as file:
            options = {"stderr": file, **options}
            return subprocess.Popen(argv, stdin=subprocess.DEVNULL, **options), None

    # Files

    def path(self, text: str) -> Path:
        """Return where the file is that a server tells of."""
        return Path(text)

    def shown(self, path: Path) -> str:
        """Return how a server tells of ``path``."""
        return str(path)

    # Processes, by the ids that log and status tell

    def kill(self, pid: int) -> None:
        """End ``pid`` at once; raises ProcessLookupError when it has gone."""
        os.kill(pid, signal.SIGKILL)

    def freeze(self, pid: int) -> None:
        """Suspend ``pid``; it is so when this returns."""
        os.kill(pid, signal.SIGSTOP)
        until(lambda: processes.state_of(pid) in "Tt", what="a suspended process")

    def thaw(self, pid: int) -> None:
        """Let ``pid`` go on."""
        os.kill(pid, signal.SIGCONT)

    def is_alive(self, pid: int) -> bool:
        """Tell whether ``pid`` runs."""
        return processes.is_alive(pid)

    def is_asleep(self, pid: int) -> bool:
        """Tell whether ``pid`` waits for something, as far as that can be seen."""
        return processes.state_of(pid) == "S"

    def parent_of(self, pid: int) -> int:
        """Return who has started ``pid``."""
        return processes.parent_of(pid)

    def cpu_seconds(self, pid: int) -> float:
        """Return the processor time that ``pid`` has used."""
        return processes.cpu_seconds(pid)
