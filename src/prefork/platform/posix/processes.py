"""Processes and signals on POSIX systems.  Decides nothing."""

# ruff: noqa: E402  (checkers on Windows pass over what follows the assertion)

import sys

assert sys.platform != "win32"

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from types import FrameType
from typing import Final

from prefork.core.states import ExitStatus
from prefork.ipc import messages as wire
from prefork.platform.child import Child, Notice
from prefork.platform.linux import become_subreaper
from prefork.platform.posix.programs import Means
from prefork.platform.posix.spawn import start
from prefork.platform.posix.system import memory_file

#: What the arbiter hears; each is no more than a wake-up until the loop reads its number.
HEARD: Final = (
    signal.SIGCHLD,
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
)

_WAITED_FOR: Final = os.WEXITED | os.WSTOPPED | os.WCONTINUED | os.WNOHANG
_LIVES: Final = (os.CLD_STOPPED, os.CLD_TRAPPED, os.CLD_CONTINUED)


class PosixBackend:
    """Starts, ends and hears of processes."""

    def __init__(self, shared: Sequence[int]) -> None:
        self._shared = shared  #: descriptors that every child inherits
        self.wakeup, self._wakeup_writer = socket.socketpair()
        self._by_pid: dict[int, Child] = {}
        self._serials = count()
        become_subreaper()

    def catch_signals(self) -> None:
        """Have each signal of HEARD write its number to ``wakeup``, and do nothing else."""
        self.wakeup.setblocking(False)
        self._wakeup_writer.setblocking(False)
        signal.set_wakeup_fd(self._wakeup_writer.fileno(), warn_on_full_buffer=False)
        for signum in HEARD:
            signal.signal(signum, _ignore)

        # Blocked by whoever started us, so that none could come before.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())

    def signals(self) -> Iterator[str]:
        """Yield the names of the signals that came since the last call, each once."""
        with contextlib.suppress(BlockingIOError):
            seen = dict.fromkeys(self.wakeup.recv(4096))  # in order of arrival
            yield from (signal.Signals(number).name for number in seen)

    def follow(self, parent: int, *_: int) -> None:
        """Do nothing: the kernel sends us SIGTERM when our ``parent`` dies."""

    def close(self) -> None:
        """Let go of what wakes the loop; the children are on their own."""
        signal.set_wakeup_fd(-1)
        self.wakeup.close()
        self._wakeup_writer.close()

    def spawn(self, slot: int, generation: int, plan: int, inherited: Sequence[int]) -> Child:
        """Start a fresh interpreter as a worker.

        The values of ``inherited``, its listeners' descriptors, stand on its command line.
        Raises OSError when the system refuses.
        """
        listeners = [word for fd in inherited for word in ("--listener", str(fd))]
        arguments = ["prefork.worker", "--slot", str(slot), *listeners]
        return self._start(_prepare(slot, generation, socket.SOCK_STREAM), arguments, plan)

    def spawn_program(self, slot: int, generation: int, plan: int, means: Means) -> Child:
        """Start what becomes a program, in a process group of its own; raises OSError."""
        prepared = _prepare(slot, generation, socket.SOCK_STREAM)
        prepared[0].program = True
        return self._start(prepared, ["prefork.worker.launcher", "--slot", str(slot)], plan, means)

    def start_mold(self, generation: int, plan: int, place: int) -> Child:
        """Start the mold of ``generation``; raises OSError when the system refuses."""
        prepared = _prepare(place, generation, socket.SOCK_SEQPACKET)
        return self._start(prepared, ["prefork.worker.mold"], plan)

    def order(self, mold: Child, slot: int, generation: int) -> Child:
        """Have ``mold`` fork a worker, whose process id it will tell; raises OSError."""
        child, theirs = _prepare(slot, generation, socket.SOCK_STREAM)
        with theirs:
            try:
                child.serial = next(self._serials)
                data = wire.encode(wire.ForkOrder(slot, generation, child.serial))
                # A mold that is stopped may have orders enough already: then it is not now.
                wire.send(mold.channel, data, [theirs.fileno(), child.dump])
            except OSError:
                child.close()
                raise
        return child

    def share(self, child: Child, listeners: Sequence[int]) -> None:
        """Do nothing: what is inherited here is what it was."""

    def born(self, child: Child, pid: int) -> None:
        """Note the process of a worker that a mold has forked."""
        child.pid = pid
        self._by_pid[pid] = child
        if child.doomed:
            self.kill(child)

    def reap(self, refresh: Callable[[], None]) -> Iterator[Notice]:
        """Yield what the system has to tell of our children.

        ``refresh`` is called when a process ended that is not known: its mold has announced
        it before it became our child, so the announcement waits to be read.  What is unknown
        after that is the orphan of a worker; we are its subreaper and just bury it.
        """
        while True:
            try:
                seen = os.waitid(os.P_ALL, 0, _WAITED_FOR | os.WNOWAIT)
            except ChildProcessError:
                return
            if seen is None:
                return
            if seen.si_pid not in self._by_pid:
                refresh()
            child = self._by_pid.get(seen.si_pid)
            ended = seen.si_code not in _LIVES
            if child is not None and child.program and ended:
                # What the program leaves behind goes with it.  Now: as long as the zombie is not
                # taken away, the number of its group cannot become another's.
                _signal_group(seen.si_pid, signal.SIGKILL)
            # The state may have changed since the look: what counts is what is taken away, but an
            # end only if it has been seen.
            wanted = _WAITED_FOR if ended else _WAITED_FOR & ~os.WEXITED
            taken = os.waitid(os.P_PID, seen.si_pid, wanted)
            if child is not None and taken is not None:
                yield self._notice(child, taken)

    def _notice(self, child: Child, seen: os.waitid_result) -> Notice:
        match seen.si_code:
            case os.CLD_STOPPED | os.CLD_TRAPPED:
                return Notice(child, None, stopped=True)
            case os.CLD_CONTINUED:
                return Notice(child, None)
        del self._by_pid[seen.si_pid]
        if seen.si_code == os.CLD_EXITED:
            return Notice(child, ExitStatus(code=seen.si_status))
        return Notice(child, ExitStatus(signal=_name(seen.si_status)))

    def kill(self, child: Child) -> None:
        """End ``child`` now; the notice follows through ``reap``."""
        child.doomed = True
        self._send(child, signal.SIGKILL)
        if child.program and child.pid in self._by_pid:
            _signal_group(child.pid, signal.SIGKILL)

    def signal(self, child: Child, signum: int) -> None:
        """Send ``signum`` to ``child``, which is a program, and to nobody that it has started."""
        self._send(child, signum)

    def drain(self, child: Child) -> None:
        """Ask ``child`` to finish what it holds and to exit."""
        self.say(child, wire.DRAIN)

    def say(self, child: Child, word: bytes) -> None:
        """Send ``word`` and wake the worker, should it be blocked in accept."""
        with contextlib.suppress(OSError):  # it died first; reap will tell
            child.channel.send(word)
        self._send(child, wire.NUDGE)

    def hand_over_log(self, child: Child, fd: int) -> None:
        """Have ``child``, which may not be allowed to open it, write its log to ``fd``."""
        with contextlib.suppress(OSError):
            wire.send(child.channel, wire.REOPEN, [fd])
        self._send(child, wire.NUDGE)

    def nudge(self, child: Child) -> None:
        """Wake ``child`` once more: the last time may have been just before its system call."""
        self._send(child, wire.NUDGE)

    def stacks(self, child: Child) -> bytes:
        """Return what ``child`` has written to its dump file so far."""
        return os.pread(child.dump, 1 << 20, 0)

    def ask_for_stacks(self, child: Child) -> None:
        """Have ``child`` write its stacks to its dump file, which is emptied first."""
        os.ftruncate(child.dump, 0)
        self._send(child, wire.DUMP)

    def _send(self, child: Child, signum: int) -> None:
        # A pid in the table is not reaped yet, so it cannot have become someone else's.
        if child.pid is not None and child.pid in self._by_pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # a set-user-ID program
                os.kill(child.pid, signum)

    def _start(
        self,
        prepared: tuple[Child, socket.socket],
        module: list[str],
        plan: int,
        means: Means | None = None,
    ) -> Child:
        child, theirs = prepared
        given = {"--plan": plan, "--channel": theirs.fileno(), "--dump": child.dump}
        argv = [sys.executable, "-P", "-m", *module]
        argv += [word for name, fd in given.items() for word in (name, str(fd))]
        with theirs:
            try:
                child.pid = start(argv, (*given.values(), *self._shared), means, HEARD)
            except OSError:
                child.close()
                raise
        self._by_pid[child.pid] = child
        return child


def _prepare(slot: int, generation: int, kind: socket.SocketKind) -> tuple[Child, socket.socket]:
    ours, theirs = socket.socketpair(type=kind)
    ours.setblocking(False)
    try:
        return Child(slot, generation, ours, memory_file("stacks", append=True)), theirs
    except OSError:
        ours.close()
        theirs.close()
        raise


def _signal_group(leader: int, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signum)


def _name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"  # a real-time signal


def _ignore(signum: int, frame: FrameType | None) -> None:
    """Exist, so that the signal wakes the loop instead of ending us."""
