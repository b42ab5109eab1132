"""Starts and ends the servers that are measured; reads prefork's log as it is written."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Protocol, Self

ROOT = Path(__file__).parents[1]

#: Seconds to wait for anything that is sure to happen soon.
PATIENCE = 60.0

Event = dict[str, Any]


class Server(Protocol):
    """A running server: the process that started the others, and its port."""

    pid: int
    port: int

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Bare:
    """A rival of a module here: the bare loop of ``bare``, or asyncio's server of ``bareloop``."""

    def __init__(self, workers: int, module: str = "bare", *arguments: str) -> None:
        argv = [sys.executable, "-m", f"benchmarks.{module}", str(workers), *arguments]
        self._process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.pid = self._process.pid
        self.port = int(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=PATIENCE)


class Prefork:
    """``prefork serve`` with a handler of ``benchmarks.handlers``, and what its log tells."""

    _directory: "tempfile.TemporaryDirectory[str] | None" = None
    _ending = signal.SIGTERM

    def __init__(self, handler: str, workers: str, *flags: str) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="prefork-benchmark-")
        self._control = f"{self._directory.name}/control"
        argv = [sys.executable, "-m", "prefork", "serve", f"benchmarks.handlers:{handler}"]
        argv += ["--bind", "127.0.0.1:0", "--workers", workers, "--log-format", "json"]
        argv += ["--name", f"benchmark-{os.getpid()}", "--control", f"unix:{self._control}"]
        self.launch([*argv, *flags])

    def launch(self, argv: list[str], environ: Mapping[str, str] | None = None) -> None:
        """Start ``argv`` and read its log."""
        self.events: list[tuple[float, Event]] = []  #: with the moment each was read
        self.living: dict[int, int] = {}  #: process id of each ready worker, and its slot
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            argv,
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        listening = self.wait_for("listening")
        self.port = int(listening["address"].rpartition(":")[2])
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._directory is not None:
            self._directory.cleanup()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            moment = monotonic()
            try:
                event = json.loads(line)
            except json.JSONDecodeError:
                event = {"event": "text", "text": line.rstrip()}
            with self._news:
                self._note(event)
                self.events.append((moment, event))
                self._news.notify_all()

    def _note(self, event: Event) -> None:
        match event["event"]:
            case "worker ready":
                self.living[event["pid"]] = event["slot"]
            case "worker exited":
                self.living.pop(event["pid"], None)

    def until(self, condition: Callable[[], bool], limit: float = PATIENCE) -> None:
        """Wait until ``condition``, which looks at this object, is true."""
        with self._news:
            if not self._news.wait_for(condition, limit):
                last = [event for _, event in self.events[-5:]]
                raise TimeoutError(f"not within {limit} s; the log ends with {last}")

    def until_workers(self, count: int, limit: float = PATIENCE) -> float:
        """Wait until ``count`` workers are ready; return the moment that was read."""
        self.until(lambda: len(self.living) == count, limit)
        return self.events[-1][0]

    def wait_for(self, name: str, since: int = 0, **fields: object) -> Event:
        """Wait for the event ``name`` with ``fields``, from the event number ``since`` on."""
        return self.moment_of(name, since, **fields)[1]

    def moment_of(self, name: str, since: int = 0, **fields: object) -> tuple[float, Event]:
        """Wait likewise; return the event with the moment it was read."""
        wanted = {"event": name, **fields}

        def found() -> tuple[float, Event] | None:
            for moment, event in self.events[since:]:
                if wanted.items() <= event.items():
                    return moment, event
            return None

        self.until(lambda: found() is not None)
        result = found()
        assert result is not None
        return result

    def ask(self, **request: object) -> Event:
        """Send a request to the control socket; return the answer."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(PATIENCE)
            control.connect(self._control)
            control.sendall(json.dumps(request).encode() + b"\n")
            with control.makefile() as answers:
                return dict(json.loads(answers.readline()))

    def stop(self) -> float:
        """Stop the server; return how long that took."""
        start = monotonic()
        self._process.send_signal(self._ending)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            for pid in (self.pid, *self.living):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()
        took = monotonic() - start
        self._reader.join(PATIENCE)
        return took
