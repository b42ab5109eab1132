"""Processes, their ends and the console on Windows.

Descriptors are of a process on Windows, handles are of the system: what children inherit is
named by its handle everywhere here.  A socket's is its ``fileno()``, a file's is ``handle_of``.
"""

import contextlib
import errno
import msvcrt
import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from time import monotonic
from typing import Final

from prefork.platform.base import Child, ForkOrder, Notice, ProgramOrder, SpawnOrder
from prefork.platform.socket_pair import socket_pair
from prefork.platform.windows.api import (
    Console,
    Event,
    Job,
    RegisteredWait,
    WaitCallback,
    Waits,
    break_group,
)
from prefork.platform.windows.child import KILLED, TASKS, WindowsChild, exit_status
from prefork.platform.windows.files import content_of, handle_of, memory_file
from prefork.platform.windows.process import interpreter, start
from prefork.platform.windows.sockets import shared
from prefork.platform.windows.system import opened_process

#: The events of the console, by the names that POSIX has for such.
_SIGNAL_OF_EVENT: Final = {
    Console.C: "SIGINT",
    Console.BREAK: "SIGTERM",
    Console.CLOSE: "SIGTERM",
    Console.LOGOFF: "SIGTERM",
    Console.SHUTDOWN: "SIGTERM",
}


class WindowsPlatform:
    """The ``Platform`` of Windows.

    All processes end with us, however we end: they are in jobs whose only handles are ours.
    """

    can_fork = False
    can_abort = False
    wakes_one = False
    can_share_nonblocking = False
    few_sockets = True  # select() takes 512

    def __init__(self) -> None:
        self._job = Job.create()
        self._nothing = os.open(os.devnull, os.O_RDWR | os.O_NOINHERIT)
        self.wakeup, self._wakeup_writer = socket_pair()
        self.wakeup.setblocking(False)
        self._wakeup_writer.setblocking(False)
        self._names: deque[str] = deque()  # of signals that have arrived, for ``signals``
        self._ended: deque[int] = deque()  # serials, for ``reap``
        self._running: dict[int, WindowsChild] = {}
        self._serials = count(1)
        self._on_exit = WaitCallback(self._note_exit)
        self._parent_waits: list[RegisteredWait] = []
        self._console: Console | None = None
        self._finished = Event.create()
        # Inherited: a child that crashes shall end, not show a window and wait for a click.
        msvcrt.SetErrorMode(msvcrt.SEM_FAILCRITICALERRORS | msvcrt.SEM_NOGPFAULTERRORBOX)

    def now(self) -> float:
        """Return the time of the performance counter."""
        return monotonic()

    def follow(self, parent: int, interrupt: int | None = None) -> None:
        """Take the end of the process ``parent`` for SIGTERM, and ``interrupt`` for SIGINT."""
        if interrupt is not None:
            self._on_interrupt = WaitCallback(lambda *_: self._report("SIGINT"))
            self._parent_waits.append(RegisteredWait(interrupt, self._on_interrupt, 0, once=False))
        try:
            self._parent = opened_process(parent)
        except OSError:  # gone already
            self._report("SIGTERM")
            return
        self._on_parents_end = WaitCallback(lambda *_: self._report("SIGTERM"))
        self._parent_waits.append(RegisteredWait(self._parent.value, self._on_parents_end, 0))

    def catch_signals(self) -> None:
        """Let the console's events wake the loop."""
        self._console = Console(self._note_console)

    def close(self) -> None:
        """End every process that is left, and close everything."""
        for wait in self._parent_waits:
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
        """Yield the names of what came since the last call."""
        with contextlib.suppress(BlockingIOError):
            self.wakeup.recv(4096)
        seen = dict.fromkeys(self._names.popleft() for _ in range(len(self._names)))
        yield from seen

    def spawn(self, order: SpawnOrder) -> Child:
        """Start a worker."""
        if order.slot is None:
            raise OSError(errno.ENOSYS, "Windows forks no process")
        executable, environ = interpreter()
        argv = [executable, "-P", "-m", order.module, *order.arguments]
        with self._prepared(order.slot, order.generation) as (child, theirs):
            words, numbers = _reports(child, theirs)
            inherited = (*order.inherited, *numbers)
            self._run(child, [*argv, *words], environ, inherited, (1, 2))
        return child

    def start_program(self, order: ProgramOrder) -> Child:
        """Start a program in a job of its own."""
        with self._prepared(order.slot, order.generation) as (child, theirs):
            child.program = True
            child.job = Job.create()
            words, numbers = _reports(child, theirs) if order.launched else ([], [])
            argv, inherited = [*order.argv, *words], (*order.inherited, *numbers)
            self._run(child, argv, order.environ, inherited, order.outputs)
        return child

    def fork(self, mold: Child, order: ForkOrder) -> Child:
        """Refuse: nothing is forked here."""
        del mold, order
        raise OSError(errno.ENOSYS, "Windows forks no process")

    def adopt(self, child: Child, pid: int) -> None:
        """Fail: nothing is forked here."""
        raise AssertionError(f"{child} was not forked, but is to be process {pid}")

    def reap(self, refresh: Callable[[], None]) -> Iterator[Notice]:
        """Yield a notice for each child that has ended.  No process is unknown: no ``refresh``."""
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
            with contextlib.suppress(PermissionError):  # it is ending: reap reports it
                child.process.terminate(KILLED)

    def signal(self, child: Child, name: str) -> None:
        """Send Ctrl-Break to ``child``; raises OSError when we have no console in common."""
        if name != "SIGBREAK":
            raise OSError(errno.ENOSYS, f"Windows has no {name}")
        assert isinstance(child, WindowsChild)
        if child.process is not None and child.process.exit_code() is None:
            break_group(child.process.pid)

    def send(self, child: Child, word: bytes) -> None:
        """Send ``word``; a thread of the worker's reads it at once."""
        with contextlib.suppress(OSError):  # it died first; reap reports it
            child.channel.send(word)

    def wake(self, child: Child) -> None:
        """Do nothing: the thread that reads the channel waits for nothing else."""

    def hand_over(self, child: Child, word: bytes, numbers: Sequence[int]) -> None:
        """Send ``word`` and sockets, which ``sockets.received`` reads."""
        assert child.pid is not None
        with contextlib.suppress(OSError):  # it died first; reap reports it
            sockets = b"".join(shared(number, child.pid) for number in numbers)
            child.channel.send(word + sockets)

    def ask_for_stacks(self, child: Child) -> None:
        """Set the event that ``child`` writes its stacks for."""
        assert isinstance(child, WindowsChild)
        os.ftruncate(child.dump, 0)
        child.stacks.set()
        self.send(child, TASKS)

    def stacks(self, child: Child) -> bytes:
        """Return what is in the dump file."""
        return content_of(child.dump)

    def kernel_state(self, child: Child) -> dict[str, str]:
        """Return nothing: the system does not report what a process waits for."""
        del child
        return {}

    def thread_states(self, child: Child) -> list[dict[str, str]]:
        """Return nothing, as above."""
        del child
        return []

    def killed_for_memory(self) -> bool:
        """Return False: the system kills no process for want of memory."""
        return False

    @contextlib.contextmanager
    def _prepared(self, slot: int, generation: int) -> Iterator[tuple[WindowsChild, socket.socket]]:
        ours, theirs = socket_pair()
        with contextlib.ExitStack() as unwanted, theirs:
            unwanted.callback(ours.close)
            ours.setblocking(False)
            dump = memory_file("stacks", append=True)
            child = WindowsChild(slot, generation, ours, dump)
            unwanted.callback(child.close)
            yield child, theirs
            unwanted.pop_all()

    def _run(
        self,
        child: WindowsChild,
        argv: Sequence[str],
        environ: Mapping[str, str],
        inherited: Sequence[int],
        outputs: tuple[int, int],
    ) -> None:
        empty, output, error = map(handle_of, (self._nothing, *outputs))
        job = self._job if child.job is None else child.job
        process = start(argv, environ, (empty, output, error), inherited, job.value)
        serial = next(self._serials)
        child.process, child.pid = process, process.pid
        self._running[serial] = child
        try:
            child.exit_wait = RegisteredWait(process.value, self._on_exit, serial)
        except OSError:  # its end would go unnoticed
            del self._running[serial]
            process.terminate(KILLED)
            process.close()
            child.process = child.pid = None
            raise

    def _note_exit(self, serial: int, timed_out: bool) -> None:
        # In a thread of the system.
        del timed_out
        self._ended.append(serial)
        self._report("SIGCHLD")

    def _note_console(self, event: int) -> None:
        # In a thread of the console.  When it returns from the last ones, the system ends us.
        self._report(_SIGNAL_OF_EVENT.get(event, "SIGTERM"))
        if event in (Console.CLOSE, Console.LOGOFF, Console.SHUTDOWN):
            Waits([self._finished.value]).wait()

    def _report(self, name: str) -> None:
        self._names.append(name)
        with contextlib.suppress(OSError):  # full: then the loop wakes anyway; or closed
            self._wakeup_writer.send(b".")


def _reports(child: WindowsChild, theirs: socket.socket) -> tuple[list[str], list[int]]:
    """Return by which arguments, and which handles, a process of ours reports to us."""
    numbers = {
        "--channel": theirs.fileno(),
        "--dump": handle_of(child.dump),
        "--stacks": child.stacks.value,
    }
    words = [word for name, handle in numbers.items() for word in (name, str(handle))]
    return words, list(numbers.values())
