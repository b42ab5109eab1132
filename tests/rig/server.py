"""A server under test: its process, its log as data, its status."""

import contextlib
import json
import secrets
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec

from prefork.errors import ProtocolError
from prefork.status import read_status
from rig.clients import Held, ask, connect
from rig.hosts import Host
from rig.processes import is_alive, kill_if_ours
from rig.waiting import LIMIT, until

Event = dict[str, Any]


class Journal:
    """The events in a log file, in order; lines that are no JSON are kept as they are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[Event] = []
        self.others: list[str] = []
        self._read = 0

    def refresh(self) -> None:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        complete = data[: data.rfind(b"\n") + 1]
        self._read += len(complete)
        for line in complete.decode("utf-8", "replace").splitlines():
            try:
                self.events.append(json.loads(line))
            except ValueError:
                self.others.append(line)

    def all(self, event: str, **fields: object) -> list[Event]:
        """Return the events called ``event`` whose fields are as given; a test is a function."""
        self.refresh()
        return [
            entry
            for entry in self.events
            if entry["event"] == event
            and all(_fits(entry.get(key), wanted) for key, wanted in fields.items())
        ]


def _fits(value: object, wanted: object) -> bool:
    return bool(wanted(value)) if callable(wanted) else value == wanted


class Server:
    """``prefork serve`` or ``prefork echo`` as a process of its own."""

    patience = LIMIT  #: seconds to wait for anything

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        directory: Path,
        runtime: Path,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        python: Sequence[str] = (),
        command: Sequence[str] | None = None,
        bind: str | None = "tcp://127.0.0.1:0",
        host: Host,
        **popen: Any,
    ) -> None:
        """Start it; ``prefix`` is a command that runs ours, ``command`` stands in its place."""
        self.name = _option(arguments, "--name") or f"t{secrets.token_hex(4)}"
        given = list(arguments)
        for flag, value in {
            "--bind": bind,
            "--log-format": "json",
            "--name": self.name,
        }.items():
            end = given.index("--") if "--" in given else len(given)  # a program's words follow
            if flag not in given[:end] and value is not None:
                given[end:end] = [flag, value]
        self.host = host
        self.runtime = runtime
        self.env = host.environment(runtime, **(env or {}))
        self.directory = directory
        self.log = Journal(directory / f"{self.name}-{secrets.token_hex(2)}.log")
        self.argv = list(command or [*prefix, *host.prefork(*given, python=python)])
        options = {"stdout": subprocess.DEVNULL, "cwd": directory, "env": self.env, **popen}
        self.process, self._copier = host.launch(self.argv, self.log.path, **options)

    @property
    def pid(self) -> int:
        """The process id of the arbiter, as status and log tell it."""
        return self.process.pid

    # What it says

    def wait_for(
        self, event: str, limit: float | None = None, *, count: int = 1, **fields: Any
    ) -> Event:
        """Return the ``count``-th event called ``event`` with ``fields``, waiting for it."""

        def seen() -> Event | None:
            ended = self._has_ended()
            found = self.log.all(event, **fields)
            if len(found) >= count:
                return found[count - 1]
            assert not ended, f"the server ended ({self.process.returncode}) without {event!r}"
            return None

        found = until(
            seen, limit or self.patience, f"event {event!r} {fields or ''} (number {count})"
        )
        assert found is not None
        return found

    def all(self, event: str, **fields: Any) -> list[Event]:
        """Return the events called ``event`` so far."""
        return self.log.all(event, **fields)

    @property
    def addresses(self) -> list[str]:
        """The addresses it listens on, as they stand in status and log."""
        return [listener["address"] for listener in self.appear().status()["listeners"]]

    @property
    def address(self) -> str:
        return self.addresses[0]

    @property
    def scoreboard(self) -> Path:
        return self.runtime / "prefork" / f"{self.name}.scoreboard"

    def status(self) -> dict[str, Any]:
        """Return the status object, read from the scoreboard."""
        return read_status(self.scoreboard)

    def appear(self) -> "Server":
        """Wait until it has bound its addresses and has a status."""
        until(self._is_there, self.patience, "a server with a status")
        return self

    def _is_there(self) -> bool:
        assert self.process.poll() is None, f"the server ended ({self.process.returncode})"
        try:
            return bool(self.status()["listeners"])
        except (OSError, ProtocolError, msgspec.DecodeError):
            return False

    def ready(self, count: int = 1, limit: float | None = None) -> "Server":
        """Wait until exactly ``count`` workers are ready and none is on its way."""
        self.appear().until_pool(limit, ready=count, starting=0, draining=0)
        return self

    def workers(self) -> dict[int, int]:
        """Return the process ids of the workers by slot."""
        return {worker["slot"]: worker["pid"] for worker in self.status()["workers"]}

    def pids(self) -> set[int]:
        return set(self.workers().values())

    def until_pool(self, limit: float | None = None, **wanted: int) -> None:
        """Wait until the pool's numbers are as ``wanted``."""

        def right() -> bool:
            try:
                pool = self.status()["pool"]
            except FileNotFoundError:  # gone together with the server
                assert self.wait(5) is None, f"the server ended ({self.process.returncode})"
                raise
            return all(pool[key] == value for key, value in wanted.items())

        until(right, limit or self.patience, f"a pool with {wanted}")

    def until_replaced(self, pid: int) -> None:
        """Wait until ``pid`` is none of the workers."""
        until(lambda: pid not in self.pids(), self.patience, f"the end of {pid}")

    def family(self) -> list[int]:
        """Return every process of it that the log knows, the arbiter first."""
        return [self.pid, *self._children()]

    def _children(self) -> list[int]:
        births = [*self.all("mold started"), *self.all("worker started")]
        return [event["pid"] for event in births]

    def queued(self, listener: int = 0) -> int:
        """Return how many clients wait to be accepted."""
        waiting: int = self.status()["listeners"][listener]["queued"]
        return waiting

    # Its clients and operators

    def ask(self, message: bytes = b"") -> bytes:
        return ask(self.address, message)

    def ask_at(self, address: str, message: bytes = b"") -> bytes:
        return ask(address, message)

    def answers_of_all(self) -> list[bytes]:
        """Ask until every worker has answered with its pid and more; return all the answers."""
        everybody, answers = self.pids(), list[bytes]()

        def all_answered() -> bool:
            answers.append(self.ask())
            return everybody <= {int(answer.split()[0]) for answer in answers}

        until(all_answered, self.patience, f"answers of {everybody}")
        return answers

    def connect(self) -> socket.socket:
        return connect(self.address)

    def held(self) -> Held:
        return Held(self.address)

    def operate(self, command: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run an operator command on it."""
        return self.host.operate(self.env, command, *arguments, "--name", self.name)

    def begin(self, command: str, *arguments: str) -> "subprocess.Popen[bytes]":
        """Run an operator command on it meanwhile."""
        argv = self.host.prefork(command, *arguments, "--name", self.name)
        pipe = subprocess.PIPE
        return subprocess.Popen(
            argv, env=self.env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )

    def result(self, command: str, *arguments: str) -> Any:
        """Run an operator command that succeeds; return its JSON."""
        done = self.operate(command, *arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    # Its end

    def is_alive(self, pid: int) -> bool:
        """Tell whether ``pid``, of which log or status told, runs."""
        return self.host.is_alive(pid)

    def until_ended(self, pid: int) -> None:
        """Wait until ``pid`` runs no more."""
        until(lambda: not self.is_alive(pid), self.patience, f"the end of {pid}")

    def kill(self, pid: int) -> None:
        """End a process of it, and give it no chance to notice."""
        self.host.kill(pid)

    def freeze(self, pid: int) -> None:
        """Suspend a process of it; it is so when this returns."""
        # The process that forked a worker for the mold may still be its parent for a moment, and
        # then it is that one which the kernel tells.
        if pid != self.pid:
            until(lambda: self.host.parent_of(pid) == self.pid, what="a child of the arbiter")
        self.host.freeze(pid)

    def thaw(self, pid: int) -> None:
        """Let a suspended process go on."""
        self.host.thaw(pid)

    def kill_arbiter(self) -> None:
        """End the arbiter so, and return when it has gone."""
        self.kill(self.pid)
        self.process.wait(self.patience)

    def all_gone(self, limit: float | None = None) -> None:
        """Wait until no process of it is left."""
        everybody = self.family()
        limit = limit or self.patience
        until(lambda: not any(map(self.is_alive, everybody)), limit, "the end of all")

    def signal(self, signum: int) -> None:
        self.process.send_signal(signum)

    def wait(self, limit: float | None = None) -> int:
        """Return its exit status once it has ended, and its log is complete."""
        status = self.process.wait(limit or self.patience)
        if self._copier is not None:
            self._copier.join(limit or self.patience)
        return status

    def _has_ended(self) -> bool:
        copying = self._copier is not None and self._copier.is_alive()
        return self.process.poll() is not None and not copying

    def stop(self, limit: float | None = None) -> int:
        """Stop it gracefully; return its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait(limit)

    def end(self) -> None:
        """End everything that is left of it, kindly first, and show the log."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            for signum in (signal.SIGCONT, signal.SIGTERM):
                self.signal(signum)
            self.wait(3)
        for signum in (signal.SIGQUIT, signal.SIGKILL):
            if self.process.poll() is None:
                self.signal(signum)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.wait(3)
        for pid in self._children():
            if is_alive(pid):
                kill_if_ours(pid)
        self.close()

    def close(self) -> None:
        """Let go of what is ours, and show the log."""
        if self.process.stderr is not None and self._copier is None:
            self.process.stderr.close()
        if self.log.path.exists():
            print(f"--- the log of {' '.join(self.argv[1:])}")  # pytest shows it on failure
            print(self.log.path.read_text(errors="replace")[-20_000:])


class Here(Host):
    """This system, as a place for servers."""

    def server(self, arguments: Sequence[str], **options: Any) -> Server:
        return Server(arguments, host=self, **options)


HERE = Here()


def environment(runtime: Path, **variables: str) -> dict[str, str]:
    """Return our environment with a run-time directory of its own, and ``variables``."""
    return HERE.environment(runtime, **variables)


def prefork(*arguments: str) -> list[str]:
    """Return the command line of ``prefork`` with ``arguments``."""
    return HERE.prefork(*arguments)


def operate(
    env: Mapping[str, str], command: str, *arguments: str, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command of ``prefork`` to its end."""
    return HERE.operate(env, command, *arguments, cwd=cwd)


def elapsed(action: Callable[[], object]) -> float:
    """Return how many seconds ``action`` takes."""
    began = monotonic()
    action()
    return monotonic() - began


def _option(arguments: Sequence[str], flag: str) -> str | None:
    return arguments[arguments.index(flag) + 1] if flag in arguments else None
