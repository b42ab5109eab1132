"""Processes, their ends and the console on Windows.  Decides nothing.

Descriptors are of a process on Windows, handles are of the system: what children inherit is
named by its handle everywhere here.  A socket's is its ``fileno()``, a file's is ``handle_of``.
"""

# ruff: noqa: E402  (checkers on other systems pass over what follows the assertion)

import sys

assert sys.platform == "win32"

import contextlib
import errno
import msvcrt
import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Final

from prefork.ipc import messages as wire
from prefork.platform.child import Child, Notice
from prefork.platform.socket_pair import socket_pair
from prefork.platform.windows.api import (
    DUMP_HEADER,
    Console,
    Event,
    Job,
    RegisteredWait,
    WaitCallback,
    Waits,
    break_group,
)
from prefork.platform.windows.child import KILLED, WindowsChild, exit_status
from prefork.platform.windows.files import content_of, handle_of, memory_file
from prefork.platform.windows.process import interpreter, start
from prefork.platform.windows.sockets import shared
from prefork.platform.windows.system import opened_process

#: The module that a worker runs; -P because the current directory is the user's.
WORKER: Final = ("-P", "-m", "prefork.worker")

#: What the console says, in the words of POSIX.
_WORDS: Final = {
    Console.C: "SIGINT",
    Console.BREAK: "SIGTERM",
    Console.CLOSE: "SIGTERM",
    Console.LOGOFF: "SIGTERM",
    Console.SHUTDOWN: "SIGTERM",
}


class WindowsBackend:
    """Starts, ends and hears of processes.

    They end with us, however we end: they are in jobs whose only handles are ours.
    """

    def __init__(self, shared: Sequence[int], worker: Sequence[str] = WORKER) -> None:
        """Have every worker inherit the handles ``shared``, and run as ``worker`` says."""
        self._shared = tuple(shared)
        self._worker = tuple(worker)
        self._job = Job.create()
        self._nothing = os.open(os.devnull, os.O_RDWR | os.O_NOINHERIT)
        self.wakeup, self._wakeup_writer = socket_pair()
        self.wakeup.setblocking(False)
        self._wakeup_writer.setblocking(False)
        self._words: deque[str] = deque()  # what has come, for ``signals``
        self._ended: deque[int] = deque()  # serials, for ``reap``
        self._running: dict[int, WindowsChild] = {}
        self._serials = count(1)
        self._on_exit = WaitCallback(self._note_exit)
        self._leash: list[RegisteredWait] = []
        self._console: Console | None = None
        self._finished = Event.create()
        # Inherited: a child that crashes is to be gone, not to wait for somebody to click it away.
        msvcrt.SetErrorMode(msvcrt.SEM_FAILCRITICALERRORS | msvcrt.SEM_NOGPFAULTERRORBOX)

    def follow(self, parent: int, interrupt: int) -> None:
        """Take the end of the process ``parent`` for a request to stop.

        And that it sets the event ``interrupt`` for a Ctrl-C, each time.
        """
        self._on_interrupt = WaitCallback(lambda *_: self._wake("SIGINT"))
        self._leash.append(RegisteredWait(interrupt, self._on_interrupt, 0, once=False))
        try:
            self._parent = opened_process(parent)
        except OSError:  # gone already
            self._wake("SIGTERM")
            return
        self._on_parents_end = WaitCallback(lambda *_: self._wake("SIGTERM"))
        self._leash.append(RegisteredWait(self._parent.value, self._on_parents_end, 0))

    def catch_signals(self) -> None:
        """Have the console's events wake the loop, and do nothing else."""
        self._console = Console(self._note_console)

    def close(self) -> None:
        """End every process that is left, and let go of everything."""
        for wait in self._leash:
            wait.close()
        for child in self._running.values():
            assert child.process is not None
            assert child.exit_wait is not None
            child.exit_wait.close()
            child.process.close()
        self._running.clear()
        self._job.close()
        if self._console is not None:
            self._console.close()
        self._finished.set()
        self.wakeup.close()
        self._wakeup_writer.close()
        os.close(self._nothing)

    def signals(self) -> Iterator[str]:
        """Yield what came since the last call, each once, by the names that POSIX has for it."""
        with contextlib.suppress(BlockingIOError):
            self.wakeup.recv(4096)
        seen = dict.fromkeys(self._words.popleft() for _ in range(len(self._words)))
        yield from seen

    def spawn(self, slot: int, generation: int, plan: int, inherited: Sequence[int]) -> Child:
        """Start a fresh interpreter as a worker.

        The values of ``inherited``, its listeners' handles, stand on its command line.
        Raises OSError when the system refuses.
        """
        executable, environ = interpreter()
        with self._prepared(slot, generation) as (child, theirs):
            given = {
                "--plan": plan,
                "--channel": theirs.fileno(),
                "--dump": handle_of(child.dump),
                "--stacks": child.stacks.value,
            }
            argv = [executable, *self._worker, "--slot", str(slot)]
            argv += [word for handle in inherited for word in ("--listener", str(handle))]
            argv += [word for name, handle in given.items() for word in (name, str(handle))]
            handles = (*given.values(), *inherited, *self._shared)
            streams = (self._nothing, 1, 2)
            self._run(child, argv, environ, streams, handles, self._job)
        return child

    def spawn_program(
        self,
        slot: int,
        generation: int,
        argv: Sequence[str],
        environ: Mapping[str, str],
        outputs: tuple[int, int],
        inherited: Sequence[int],
    ) -> Child:
        """Start a program, which inherits listeners and nothing else; raises OSError.

        ``outputs`` are descriptors.  Its channel has ended from the beginning: that says, as on
        POSIX, that the process is the program's own.
        """
        with self._prepared(slot, generation) as (child, _):
            child.program = True
            child.job = Job.create()
            streams = (self._nothing, *outputs)
            self._run(child, argv, environ, streams, inherited, child.job)
        return child

    def reap(self, refresh: Callable[[], None]) -> Iterator[Notice]:
        """Yield a notice for each child that has ended.  Nobody announces any: no ``refresh``."""
        del refresh
        while self._ended:
            child = self._running.pop(self._ended.popleft())
            assert child.process is not None
            assert child.exit_wait is not None
            child.exit_wait.close()
            code = child.process.exit_code()
            assert code is not None  # the wait for its end is over
            child.process.close()
            child.process = None
            if child.job is not None:
                child.job.close()
            yield Notice(child, exit_status(code, child))

    def kill(self, child: Child) -> None:
        """End ``child`` now; the notice follows through ``reap``."""
        assert isinstance(child, WindowsChild)
        child.doomed = True
        if child.process is not None:
            with contextlib.suppress(PermissionError):  # it is ending: reap will tell
                child.process.terminate(KILLED)

    def signal(self, child: Child, signum: int) -> None:
        """Send Ctrl-Break to ``child``, a program: the one thing like a signal that there is.

        Raises OSError when we have no console in common.
        """
        del signum
        assert isinstance(child, WindowsChild)
        if child.process is not None and child.process.exit_code() is None:
            break_group(child.process.pid)

    def drain(self, child: Child) -> None:
        """Ask ``child`` to finish what it holds and to exit."""
        self.say(child, wire.DRAIN)

    def say(self, child: Child, word: bytes) -> None:
        """Send ``word``; a thread of the worker's hears it at once."""
        with contextlib.suppress(OSError):  # it died first; reap will tell
            child.channel.send(word)

    def start_mold(self, *_: object) -> Child:
        """Refuse: nothing is forked here."""
        raise OSError(errno.ENOSYS, "Windows forks no process")

    def order(self, *_: object) -> Child:
        """Refuse: nothing is forked here."""
        raise OSError(errno.ENOSYS, "Windows forks no process")

    def share(self, child: Child, listeners: Sequence[int]) -> None:
        """Send ``listeners`` to ``child`` once more, in the other way that there is."""
        assert child.pid is not None
        with contextlib.suppress(OSError):  # it died first; reap will tell
            child.channel.send(b"".join(shared(handle, child.pid) for handle in listeners))

    def born(self, child: Child, pid: int) -> None:
        """Do nothing: a process is known from its start."""

    def hand_over_log(self, child: Child, fd: int) -> None:
        """Do nothing: no log is moved away while somebody writes it."""

    def nudge(self, child: Child) -> None:
        """Do nothing: what has been said to a worker wakes it, whatever it waits in."""

    def ask_for_stacks(self, child: Child) -> None:
        """Have ``child`` write its stacks to its dump file, which is emptied first."""
        assert isinstance(child, WindowsChild)
        os.ftruncate(child.dump, 0)
        child.stacks.set()
        self.say(child, wire.TASKS)

    def stacks(self, child: Child) -> bytes:
        """Return what ``child`` has written to its dump file so far."""
        return content_of(child.dump).replace(DUMP_HEADER, b"", 1)

    @contextlib.contextmanager
    def _prepared(self, slot: int, generation: int) -> Iterator[tuple[WindowsChild, socket.socket]]:
        ours, theirs = socket_pair()
        with contextlib.ExitStack() as unwanted, theirs:
            unwanted.callback(ours.close)
            ours.setblocking(False)
            dump = memory_file("stacks", append=True)
            child = WindowsChild(slot, generation, ours, dump, serial=-1)
            unwanted.callback(child.close)
            yield child, theirs
            unwanted.pop_all()

    def _run(
        self,
        child: WindowsChild,
        argv: Sequence[str],
        environ: Mapping[str, str],
        streams: Sequence[int],
        inherited: Sequence[int],
        job: Job,
    ) -> None:
        empty, output, error = map(handle_of, streams)
        process = start(argv, environ, (empty, output, error), inherited, job.value)
        serial = next(self._serials)
        child.process, child.pid = process, process.pid
        self._running[serial] = child
        try:
            child.exit_wait = RegisteredWait(process.value, self._on_exit, serial)
        except OSError:  # nobody would hear of its end
            del self._running[serial]
            process.terminate(KILLED)
            process.close()
            child.process = child.pid = None
            raise

    def _note_exit(self, serial: int, timed_out: bool) -> None:
        # In a thread of the system's.
        del timed_out
        self._ended.append(serial)
        self._wake("SIGCHLD")

    def _note_console(self, event: int) -> None:
        # In a thread of the console's.  Once it is back from the last ones, the system ends us.
        self._wake(_WORDS.get(event, "SIGTERM"))
        if event in (Console.CLOSE, Console.LOGOFF, Console.SHUTDOWN):
            Waits([self._finished.value]).wait()

    def _wake(self, word: str) -> None:
        self._words.append(word)
        with contextlib.suppress(OSError):  # full: then it wakes anyway; or closed
            self._wakeup_writer.send(b".")
