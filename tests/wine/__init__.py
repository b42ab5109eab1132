"""Windows programs, run by Wine, as processes of the tests."""

import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import IO, Any

from rig.processes import is_alive
from rig.waiting import LIMIT, until
from wine.make import environment

HERE = Path(__file__).parent
INSIDE = HERE / "inside"
SOURCE = HERE.parents[1] / "src"

_RUN = "RIG_RUN"  #: tells the processes of one test from all others


class Wine:
    """A Windows Python, and what runs in it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.python = place / "py" / "python.exe"
        #: What Wine keeps, and a server of its own: names are shared by all processes of one.
        self.prefix = place / "prefix"
        self._lock: IO[str] | None = None
        self._programs: list[Program] = []
        self._agent: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables that a program of Wine needs."""
        return {**environment(self.place), "WINEPREFIX": str(self.prefix)}

    @property
    def is_made(self) -> bool:
        """Whether ``make.py`` has been here, and to the end."""
        return self.python.exists() and (self.place / "done" / "prefix").exists()

    def keep(self) -> None:
        """Start the agent, which keeps Wine's services up until ``close``.

        Then a start takes 0.1 s instead of 2.5 s; and otherwise the first program of a test would
        start the services as its own.
        """
        self._copy_prefix()
        command = ["wine", str(self.python), "-S", windows_path(INSIDE / "agent.py")]
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        self._agent = subprocess.Popen(
            command, env=self.environment, stdin=pipe, stdout=pipe, stderr=nowhere
        )
        assert "up" == self._answer()

    def _copy_prefix(self) -> None:
        """Make a prefix that nobody else uses as the one that ``make.py`` has made."""
        original = self.place / "prefix"
        self._lock = self._take_free_prefix()
        stamp = self.prefix / "copied"
        made = (self.place / "done" / "prefix").read_text()
        if stamp.exists() and stamp.read_text() == made:
            return
        shutil.rmtree(self.prefix, ignore_errors=True)
        shutil.copytree(original, self.prefix, symlinks=True)
        stamp.write_text(made)

    def _take_free_prefix(self) -> IO[str]:
        """Take the first prefix that no other test run uses; return the lock on it."""
        for number in count():
            lock = (self.place / f"prefix-{number}.lock").open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            self.prefix = self.place / f"prefix-{number}"
            return lock
        raise AssertionError("numbers do not end")

    def tell(self, verb: str, pid: int) -> str:
        """Have the agent do something to a Windows process; return what it says."""
        assert self._agent is not None
        assert self._agent.stdin is not None
        self._agent.stdin.write(f"{verb} {pid}\n".encode())
        self._agent.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._agent is not None
        assert self._agent.stdout is not None
        line = self._agent.stdout.readline().decode()
        assert line, "the agent has ended"
        return line.strip()

    def start(self, *arguments: object, **variables: str) -> "Program":
        """Start the Windows Python with ``arguments``; paths are turned into those of Windows."""
        return self.run(self.python, *arguments, **variables)

    def run(self, *words: object, **variables: str) -> "Program":
        """Start any Windows program."""
        given = {"PYTHONPATH": windows_path(SOURCE), "PYTHONDONTWRITEBYTECODE": "1", **variables}
        program = Program([*map(_word, words)], {**self.environment, **given})
        self._programs.append(program)
        return program

    def end(self) -> None:
        """End whatever is left of the programs, by their process ids."""
        for program in reversed(self._programs):
            program.end()
        self._programs.clear()

    def close(self) -> None:
        """End everything."""
        self.end()
        if self._agent is not None:
            assert self._agent.stdin is not None
            assert self._agent.stdout is not None
            self._agent.stdin.close()
            self._agent.wait(LIMIT)
            self._agent.stdout.close()
        if self._lock is not None:
            self._lock.close()


class Program:
    """A Windows program as a Linux process; it is heard by lines, and told by lines.

    Its streams are pipes: Wine cannot hand a file of ours to Python.
    """

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        self._words = words
        self._mark = new_mark()
        self.process = subprocess.Popen(
            ["wine", *words],
            env={**environment, **self._mark},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.pid = self.process.pid  #: of the process itself: Wine becomes what it runs
        self.events: list[dict[str, Any]] = []
        self.output: list[str] = []
        self._readers = [
            threading.Thread(target=_read, args=(self.process.stdout, self._note)),
            threading.Thread(target=_read, args=(self.process.stderr, self.output.append)),
        ]
        for reader in self._readers:
            reader.start()

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def all(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """Return the events called ``event`` whose fields are as given."""
        wanted = {"event": event, **fields}
        return [each for each in list(self.events) if wanted.items() <= each.items()]

    def wait_for(
        self, event: str, limit: float = LIMIT, *, count: int = 1, **fields: Any
    ) -> dict[str, Any]:
        """Return the ``count``-th event called ``event`` with ``fields``, waiting for it."""

        def seen() -> dict[str, Any] | None:
            ended = self.process.poll() is not None and not self._readers[0].is_alive()
            found = self.all(event, **fields)
            if len(found) >= count:
                return found[count - 1]
            assert not ended, f"it ended ({self.process.returncode}) without {event!r}\n{self}"
            return None

        found = until(seen, limit, f"event {event!r} {fields or ''} (number {count})\n{self}")
        assert found is not None
        return found

    def wait(self, limit: float = LIMIT) -> int:
        """Return its exit code when it has ended and been heard to its end."""
        code = self.process.wait(limit)
        for reader in self._readers:
            reader.join(limit)
        return code

    def family(self, *words: str) -> list[int]:
        """Return the Linux process ids of it and what it has started, with ``words`` in a row
        somewhere on their command lines.
        """
        return processes_of(self._mark, *words)

    def end(self) -> None:
        """End it and all that it has started."""
        for pid in self.family():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.wait()
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()
        print(self)  # pytest shows it on failure

    def __str__(self) -> str:
        return "\n".join([f"--- {self._words}", *map(str, self.events), *self.output])

    def _note(self, line: str) -> None:
        try:
            self.events.append(json.loads(line))
        except ValueError:
            self.output.append(line)


def new_mark() -> dict[str, str]:
    """Return a variable that marks a process, and all that it starts."""
    return {_RUN: secrets.token_hex(8)}


def processes_of(environment: Mapping[str, str], *words: str) -> list[int]:
    """Return the Linux process ids of all with the mark in ``environment``, and with ``words`` in
    a row somewhere on their command lines.
    """
    mark = f"{_RUN}={environment[_RUN]}".encode()
    wanted = b"\0".join(word.encode() for word in words)
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            ours = mark in (place / "environ").read_bytes()
            if ours and wanted in (place / "cmdline").read_bytes():
                found.append(int(place.name))
    return sorted(pid for pid in found if is_alive(pid))


def copied(stream: IO[bytes], path: Path) -> threading.Thread:
    """Have a thread write to a file what comes from ``stream``."""

    def copy() -> None:
        with stream, path.open("ab", buffering=0) as file:
            while data := stream.read1(1 << 16):  # type: ignore[attr-defined]
                file.write(data)

    thread = threading.Thread(target=copy)
    thread.start()
    return thread


def windows_path(path: Path) -> str:
    """Return ``path`` as Windows programs have it: Z: is our root."""
    return "Z:" + str(path).replace("/", "\\")


def _word(word: object) -> str:
    return windows_path(word) if isinstance(word, Path) else str(word)


def _read(stream: IO[bytes], take: Callable[[str], None]) -> None:
    with stream:
        for line in stream:
            take(line.decode("utf-8", "replace").rstrip("\r\n"))
