"""Processes and signals of POSIX systems; what only Linux has is added in ``linux``."""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import monotonic
from types import FrameType
from typing import Final

from prefork.core.states import ExitStatus
from prefork.platform.base import Child, ForkOrder, Notice, ProgramOrder, SpawnOrder
from prefork.platform.posix import descriptors
from prefork.platform.posix.signals import CAUGHT, DUMP, NUDGE, signal_name
from prefork.platform.posix.spawn import start
from prefork.platform.posix.system import memory_file

_WAITED_FOR: Final = os.WEXITED | os.WSTOPPED | os.WCONTINUED | os.WNOHANG
_LIVES: Final = (os.CLD_STOPPED, os.CLD_TRAPPED, os.CLD_CONTINUED)


class PosixPlatform:
    """The ``Platform`` of a POSIX system."""

    can_fork = False
    can_abort = True
    wakes_one = False
    can_share_nonblocking = True
    few_sockets = False

    def __init__(self) -> None:
        self.wakeup, self._wakeup_writer = socket.socketpair()
        self._by_pid: dict[int, Child] = {}

    def now(self) -> float:
        """Return the time of CLOCK_MONOTONIC."""
        return monotonic()

    def catch_signals(self) -> None:
        """Have each signal of CAUGHT write its number to ``wakeup``."""
        self.wakeup.setblocking(False)
        self._wakeup_writer.setblocking(False)
        signal.set_wakeup_fd(self._wakeup_writer.fileno(), warn_on_full_buffer=False)
        for signum in CAUGHT:
            signal.signal(signum, _ignore)

        # The process that started us has blocked them, so that none could come before.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())

    def signals(self) -> Iterator[str]:
        """Yield the names of the signals since the last call."""
        with contextlib.suppress(BlockingIOError):
            seen = dict.fromkeys(self.wakeup.recv(4096))  # in order of arrival
            yield from (signal.Signals(number).name for number in seen)

    def follow(self, parent: int, interrupt: int | None = None) -> None:
        """Send ourselves SIGTERM if our ``parent`` has ended; its later end goes unnoticed."""
        del interrupt  # a Ctrl-C comes as the signal that it is
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)

    def close(self) -> None:
        """Close what wakes the loop; the children are on their own."""
        signal.set_wakeup_fd(-1)
        self.wakeup.close()
        self._wakeup_writer.close()

    def spawn(self, order: SpawnOrder) -> Child:
        """Start a worker, or a mold, whose channel keeps the boundaries of messages."""
        kind = socket.SOCK_SEQPACKET if order.slot is None else socket.SOCK_STREAM
        child, theirs = _prepare(order.slot, order.generation, kind)
        argv = [sys.executable, "-P", "-m", order.module, *order.arguments]
        with theirs:
            numbers = (theirs.fileno(), child.dump)
            return self._started(
                child, [*argv, *_words(*numbers)], os.environ, (*order.inherited, *numbers)
            )

    def fork(self, mold: Child, order: ForkOrder) -> Child:
        """Send ``order`` to ``mold``."""
        child, theirs = _prepare(order.slot, order.generation, socket.SOCK_STREAM)
        child.serial = order.serial
        with theirs:
            try:
                # A mold that is stopped may have orders enough already: then it is not now.
                descriptors.send(mold.channel, order.line, [theirs.fileno(), child.dump])
            except OSError:
                child.close()
                raise
        return child

    def adopt(self, child: Child, pid: int) -> None:
        """Note that ``child`` is the process ``pid``."""
        child.pid = pid
        self._by_pid[pid] = child
        if child.doomed:
            self.kill(child)

    def start_program(self, order: ProgramOrder) -> Child:
        """Start a program in a process group of its own."""
        child, theirs = _prepare(order.slot, order.generation, socket.SOCK_STREAM)
        child.program = True
        with theirs:
            numbers = (theirs.fileno(), child.dump) if order.launched else ()
            argv = [*order.argv, *(_words(*numbers) if numbers else ())]
            inherited = (*order.inherited, *numbers)
            return self._started(child, argv, order.environ, inherited, order.outputs)

    def reap(self, refresh: Callable[[], None]) -> Iterator[Notice]:
        """Yield what happened to children; ``refresh`` may lead to an ``adopt``.

        A mold announces a worker before it becomes our child.  What is unknown even so is the
        orphan of a worker; we are its subreaper, and only take its zombie away.
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
            # The state may have changed since the first call.  What the second one returns counts;
            # but it may only return an end that the first one has seen, for its group to be killed.
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
        return Notice(child, ExitStatus(signal=signal_name(seen.si_status)))

    def kill(self, child: Child) -> None:
        """Send SIGKILL to ``child``, or to a program's process group."""
        child.doomed = True
        self._signal(child, signal.SIGKILL)
        if child.program and child.pid in self._by_pid:
            _signal_group(child.pid, signal.SIGKILL)

    def signal(self, child: Child, name: str) -> None:
        """Send the signal ``name`` to ``child``, which is a program."""
        self._signal(child, signal.Signals[name])

    def send(self, child: Child, word: bytes) -> None:
        """Send ``word`` and wake the worker, should it be blocked in accept."""
        with contextlib.suppress(OSError):  # it died first; reap reports it
            child.channel.send(word)
        self.wake(child)

    def wake(self, child: Child) -> None:
        """Send NUDGE."""
        self._signal(child, NUDGE)

    def hand_over(self, child: Child, word: bytes, numbers: Sequence[int]) -> None:
        """Send ``word`` with descriptors attached."""
        with contextlib.suppress(OSError):
            descriptors.send(child.channel, word, numbers)
        self.wake(child)

    def ask_for_stacks(self, child: Child) -> None:
        """Send DUMP."""
        os.ftruncate(child.dump, 0)
        self._signal(child, DUMP)

    def stacks(self, child: Child) -> bytes:
        """Return what is in the dump file."""
        return os.pread(child.dump, 1 << 20, 0)

    def kernel_state(self, child: Child) -> dict[str, str]:
        """Return nothing: POSIX has no way to ask."""
        del child
        return {}

    def thread_states(self, child: Child) -> list[dict[str, str]]:
        """Return nothing: POSIX has no way to ask."""
        del child
        return []

    def killed_for_memory(self) -> bool:
        """Return False: POSIX has no way to ask."""
        return False

    def _signal(self, child: Child, signum: int) -> None:
        # A pid in the table is not reaped yet, so it cannot have become someone else's.
        if child.pid is not None and child.pid in self._by_pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # a set-user-ID program
                os.kill(child.pid, signum)

    def _started(
        self,
        child: Child,
        argv: list[str],
        environ: Mapping[str, str],
        inherited: Sequence[int],
        outputs: Sequence[int] = (),
    ) -> Child:
        try:
            child.pid = start(argv, environ, inherited, outputs)
        except OSError:
            child.close()
            raise
        self._by_pid[child.pid] = child
        return child


def _prepare(
    slot: int | None, generation: int, kind: socket.SocketKind
) -> tuple[Child, socket.socket]:
    ours, theirs = socket.socketpair(type=kind)
    ours.setblocking(False)
    try:
        return Child(slot, generation, ours, memory_file("stacks", append=True)), theirs
    except OSError:
        ours.close()
        theirs.close()
        raise


def _words(channel: int, dump: int) -> list[str]:
    return ["--channel", str(channel), "--dump", str(dump)]


def _signal_group(leader: int, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signum)


def _ignore(signum: int, frame: FrameType | None) -> None:
    """Exist, so that the signal wakes the loop instead of ending us."""
