"""A platform without processes: children are objects that do what a script says, on a clock that
moves only when somebody waits.

It passes the same contract tests as the platforms of real systems.
"""

import contextlib
import os
import selectors
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from prefork.core.states import ExitStatus
from prefork.ipc import messages
from prefork.platform.base import Child, ForkOrder, Notice, ProgramOrder, SpawnOrder
from prefork.platform.socket_pair import socket_pair
from prefork.platform.system import memory_file

Order = SpawnOrder | ForkOrder | ProgramOrder


class Script:
    """What a process does of its own accord; this one comes up at once, and leaves when asked."""

    refusal: str | None = None  #: why the system does not start it

    def start(self, process: "FakeProcess") -> None:
        """Begin to run."""
        if process.child.program:
            return
        if not isinstance(process.order, ForkOrder):
            process.send(messages.Loaded())
        process.become_ready()

    def read(self, process: "FakeProcess", word: bytes) -> None:
        """Read what the arbiter has sent."""
        if messages.DRAIN in word:
            process.exit(0)

    def disconnected(self, process: "FakeProcess") -> None:
        """See the end of the channel."""
        if not process.child.program:
            process.exit(0)

    def signalled(self, process: "FakeProcess", name: str) -> None:
        """Get a signal, as a program."""
        process.die(name)

    def dump(self, process: "FakeProcess") -> None:
        """Write the stacks."""
        process.write_stacks("Thread 1 (most recent call first):\n")


@dataclass(eq=False)
class FakeProcess:
    """A process as the system has it, and all that was done to it."""

    platform: "FakePlatform"
    child: Child
    theirs: socket.socket  #: the process's end of the channel
    order: Order
    script: Script
    pid: int
    alive: bool = True
    suspended: bool = False
    words: list[bytes] = field(default_factory=list)
    handed_over: list[tuple[bytes, Sequence[int]]] = field(default_factory=list)
    signals: list[str] = field(default_factory=list)
    wakes: int = 0

    def send(self, message: messages.Message) -> None:
        """Send ``message`` to the arbiter."""
        self.theirs.sendall(messages.encode(message))

    def become_ready(self, kind: str = "stream", capacity: int = 1) -> None:
        """Report that it serves now."""
        self.send(messages.Ready(self.pid, kind, capacity))

    @property
    def is_disconnected(self) -> bool:
        """Whether the arbiter has closed its end of the channel."""
        return self.child.channel.fileno() < 0

    def fork(self) -> "FakeProcess":
        """As a mold, do what the oldest order says, and report it; return the worker."""
        child, theirs, order = self.platform.orders.popleft()
        worker = self.platform.run(child, theirs, order)
        self.send(messages.Forked(order.serial, worker.pid))
        return worker

    def exit(self, code: int) -> None:
        """End with ``code``."""
        self._end(ExitStatus(code=code))

    def die(self, name: str) -> None:
        """End by the signal ``name``."""
        self._end(ExitStatus(signal=name))

    def suspend(self) -> None:
        """Be stopped by somebody, as with SIGSTOP."""
        self.suspended = True
        self.platform.note(Notice(self.child, None, stopped=True))

    def resume(self) -> None:
        """Continue."""
        self.suspended = False
        self.platform.note(Notice(self.child, None))

    def write_stacks(self, text: str) -> None:
        """Write ``text`` to the dump file."""
        os.write(self.child.dump, text.encode())

    def _end(self, status: ExitStatus) -> None:
        if self.alive:
            self.alive = False
            self.theirs.close()
            if self.child.slot is None:
                self.platform.drop_orders(self.child.generation)
            self.platform.note(Notice(self.child, status))


class FakePlatform:
    """See ``Platform``."""

    can_fork = True
    can_abort = True
    wakes_one = True
    can_share_nonblocking = True
    few_sockets = False

    def __init__(self, script: Callable[[Order], Script] = lambda order: Script()) -> None:
        """Have every process do what ``script`` returns for its order."""
        self.script = script
        self.time = 1000.0
        self.processes: list[FakeProcess] = []  #: all that ever were, oldest first
        self.orders: deque[tuple[Child, socket.socket, ForkOrder]] = deque()
        self.memory_kills = 0  #: that nobody has asked for
        self.parent = os.getppid()
        self.wakeup, self._bell = socket_pair()
        for end in (self.wakeup, self._bell):
            end.setblocking(False)
        self._names: deque[str] = deque()
        self._notices: deque[Notice] = deque()
        self._unknown: list[tuple[int, Notice]] = []
        self._pids = count(101)
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._serials = count()

    # What a test does.

    def process(self, slot: int | None = 0) -> FakeProcess:
        """Return the last process in ``slot``."""
        return next(each for each in reversed(self.processes) if each.child.slot == slot)

    def living(self) -> list[FakeProcess]:
        """Return the processes that have not ended."""
        return [process for process in self.processes if process.alive]

    def raise_signal(self, name: str) -> None:
        """Have the signal ``name`` reach the arbiter."""
        self._names.append(name)
        with contextlib.suppress(OSError):
            self._bell.send(b".")

    def drop_orders(self, generation: int) -> None:
        """Have the orders end that the dead mold of ``generation`` has not carried out."""
        for order in [each for each in self.orders if each[0].generation == generation]:
            self.orders.remove(order)
            order[1].close()

    def disconnect(self) -> None:
        """Have processes see that the arbiter has closed their channels."""
        for process in self.living():
            if process.is_disconnected and not process.suspended:
                process.script.disconnected(process)

    def at(self, moment: float, act: Callable[[], object]) -> None:
        """Call ``act`` once the clock reaches ``moment``."""
        self._due.append((moment, next(self._serials), act))
        self._due.sort(key=lambda due: due[:2])

    def advance(self, seconds: float) -> bool:
        """Let time pass, but only until something is due; tell whether something was."""
        end = self.time + seconds
        if self._due and self._due[0][0] <= end:
            moment, _, act = self._due.pop(0)
            self.time = max(self.time, moment)
            act()
            return True
        self.time = end
        return False

    @property
    def is_idle(self) -> bool:
        """Whether nothing will happen, however long one waits."""
        return not self._due

    # What processes do.

    def note(self, notice: Notice) -> None:
        """Have ``reap`` yield ``notice``."""
        self._notices.append(notice)
        self.raise_signal("SIGCHLD")

    def run(self, child: Child, theirs: socket.socket, order: Order) -> FakeProcess:
        """Begin a process."""
        process = FakeProcess(self, child, theirs, order, self.script(order), next(self._pids))
        self.processes.append(process)
        if not isinstance(order, ForkOrder):  # which process that is, the mold has to report
            child.pid = process.pid
        process.script.start(process)
        return process

    # What the arbiter asks for.

    def now(self) -> float:
        return self.time

    def catch_signals(self) -> None:
        pass

    def signals(self) -> Iterator[str]:
        with contextlib.suppress(BlockingIOError):
            self.wakeup.recv(4096)
        names = dict.fromkeys(self._names)
        self._names.clear()
        yield from names

    def follow(self, parent: int, interrupt: int | None = None) -> None:
        if parent != self.parent:
            self.raise_signal("SIGTERM")

    def close(self) -> None:
        self.wakeup.close()
        self._bell.close()
        for process in self.processes:
            process.theirs.close()
        for _, theirs, _ in self.orders:
            theirs.close()

    def spawn(self, order: SpawnOrder) -> Child:
        return self._start(order, order.slot)

    def fork(self, mold: Child, order: ForkOrder) -> Child:
        child, theirs = self._prepared(order, order.slot)
        child.serial = order.serial
        self.orders.append((child, theirs, order))
        process = self._of(mold)
        if process is not None and not process.suspended:
            process.fork()
        return child

    def adopt(self, child: Child, pid: int) -> None:
        child.pid = pid
        if child.doomed:
            self.kill(child)

    def start_program(self, order: ProgramOrder) -> Child:
        return self._start(order, order.slot)

    def reap(self, refresh: Callable[[], None]) -> Iterator[Notice]:
        while self._notices:
            notice = self._notices[0]
            if notice.child.pid is None:
                refresh()
            self._notices.popleft()
            if notice.child.pid is not None:
                yield notice

    def kill(self, child: Child) -> None:
        child.doomed = True
        if (process := self._of(child)) is not None:
            process.die("SIGKILL")

    def signal(self, child: Child, name: str) -> None:
        if (process := self._of(child)) is not None:
            process.signals.append(name)
            process.script.signalled(process, name)

    def send(self, child: Child, word: bytes) -> None:
        if (process := self._of(child)) is not None:
            process.words.append(word)
            if not process.suspended:
                process.script.read(process, word)

    def wake(self, child: Child) -> None:
        if (process := self._of(child)) is not None:
            process.wakes += 1

    def hand_over(self, child: Child, word: bytes, numbers: Sequence[int]) -> None:
        if (process := self._of(child)) is not None:
            process.handed_over.append((word, tuple(numbers)))

    def ask_for_stacks(self, child: Child) -> None:
        os.ftruncate(child.dump, 0)
        process = self._of(child)
        if process is not None and not process.suspended:
            process.script.dump(process)

    def stacks(self, child: Child) -> bytes:
        os.lseek(child.dump, 0, os.SEEK_SET)
        return os.read(child.dump, 1 << 20)

    def kernel_state(self, child: Child) -> dict[str, str]:
        process = self._of(child)
        return {} if process is None else {"state": "T" if process.suspended else "S"}

    def thread_states(self, child: Child) -> list[dict[str, str]]:
        return [{"tid": str(child.pid), **self.kernel_state(child)}]

    def killed_for_memory(self) -> bool:
        happened = self.memory_kills > 0
        self.memory_kills -= happened
        return happened

    def _start(self, order: SpawnOrder | ProgramOrder, slot: int | None) -> Child:
        if (refusal := self.script(order).refusal) is not None:
            raise OSError(11, refusal)
        child, theirs = self._prepared(order, slot)
        if isinstance(order, ProgramOrder):
            child.program = True
            if not order.launched:
                theirs.shutdown(socket.SHUT_WR)
        self.run(child, theirs, order)
        return child

    def _prepared(self, order: Order, slot: int | None) -> tuple[Child, socket.socket]:
        ours, theirs = socket_pair()
        ours.setblocking(False)
        dump = memory_file("stacks", append=True)
        return Child(slot, order.generation, ours, dump), theirs

    def _of(self, child: Child) -> FakeProcess | None:
        """Return the living process of ``child``, if it is known."""
        if child.pid is None:
            return None
        return next((each for each in self.living() if each.child is child), None)


class FakeSelector(selectors.BaseSelector):
    """Waits for real sockets, but never for time: the clock of ``platform`` jumps instead."""

    def __init__(self, platform: FakePlatform) -> None:
        self._platform = platform
        self._real = selectors.DefaultSelector()
        self.until = float("inf")  #: then ``Paused`` comes out of ``select``

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; otherwise let the time pass until something is, or ``timeout``."""
        self._platform.disconnect()
        ready = self._real.select(0)
        if ready or timeout == 0:
            return ready
        left = self.until - self._platform.time
        if left <= 0:
            raise Paused
        if timeout is None and self._platform.is_idle and left == float("inf"):
            raise AssertionError("the loop would sleep for ever")
        self._platform.advance(min(left, float("inf") if timeout is None else timeout))
        return self._real.select(0)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class Paused(Exception):  # noqa: N818 (it is no error)
    """The clock has reached the moment at which the test wants to look."""
