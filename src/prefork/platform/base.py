"""What the arbiter may ask of the system it runs on: the one list of it, for every system.

Numbers that children inherit are descriptors, on Windows handles; ``system.number_of`` makes one
from the other.  Names of signals are those of POSIX, everywhere.
"""

import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct

from prefork.core.states import ExitStatus, Mold, Process


@dataclass(slots=True)
class Child:
    """The system's handle on a process that was started or ordered here."""

    slot: int | None  #: None: a mold
    generation: int
    channel: socket.socket  #: our end; does not block
    dump: int  #: descriptor of the file that the process writes its stacks to
    pid: int | None = None  #: None until the mold has reported it
    serial: int | None = None  #: of the order to the mold; None if it was started otherwise
    doomed: bool = False  #: killed by us, or to be killed as soon as its process is known
    program: bool = False  #: it runs, or becomes, a program that is not ours
    unread: bytes = b""  #: the beginning of a message, read from the channel

    @property
    def key(self) -> Process:
        """What the pool's events and actions name it by."""
        return Mold(self.generation) if self.slot is None else self.slot

    def close(self) -> None:
        """Close what the arbiter holds open for it."""
        self.channel.close()
        os.close(self.dump)


class Notice(Struct, frozen=True):
    """What the system reports about a child: it ended, was stopped, or continues."""

    child: Child
    ended: ExitStatus | None  #: None: it lives
    stopped: bool = False


class SpawnOrder(Struct, frozen=True, kw_only=True):
    """One of our own processes, to be run by a fresh interpreter."""

    slot: int | None  #: None: a mold
    generation: int
    module: str  #: what it runs, as in ``python -m``
    arguments: Sequence[str] = ()  #: the numbers of its channel and dump file follow
    inherited: Sequence[int] = ()  #: numbers; nothing else is inherited


class ForkOrder(Struct, frozen=True, kw_only=True):
    """A worker to be forked by a mold."""

    slot: int
    generation: int
    serial: int  #: by which the mold reports what became of it
    line: bytes  #: what the mold reads; the worker's channel and dump file come attached


class ProgramOrder(Struct, frozen=True, kw_only=True):
    """A program that is not ours, and all that it gets."""

    slot: int
    generation: int
    argv: Sequence[str]  #: the first is the path of its file
    environ: Mapping[str, str]
    outputs: tuple[int, int]  #: descriptors that become standard output and standard error
    inherited: Sequence[int] = ()  #: numbers; nothing else is inherited
    #: The program is started by a process of ours that turns into it.  The numbers of the channel
    #: and of the dump file follow its arguments; without one, the channel has ended from the start.
    launched: bool = False


class Platform(Protocol):
    """Starts processes, ends them, and reports what happens to them.  Decides nothing.

    Refusals of the system are OSErrors with a text.  Whatever is done to a child whose process
    has ended is no error and hits no other process: ``reap`` reports the end.
    """

    wakeup: socket.socket  #: readable once ``signals`` has something
    can_fork: bool  #: there are molds; otherwise ``spawn`` refuses one
    can_abort: bool  #: a program can be sent SIGABRT, on which many print their stacks
    wakes_one: bool  #: of several processes blocked in accept, a connection wakes one alone
    #: A listener that does not block can be shared: each process learns of its clients.
    can_share_nonblocking: bool
    #: The loop can wait for a few hundred sockets only: leave out those that need not be read.
    few_sockets: bool

    def now(self) -> float:
        """Return the seconds of a clock that never goes back, the same in all processes."""

    def catch_signals(self) -> None:
        """Have signals, and ends of children, make ``wakeup`` readable, and do nothing else."""

    def signals(self) -> Iterator[str]:
        """Yield the names of the signals since the last call, each once, in order of arrival.

        ``SIGCHLD`` is the name of what ``reap`` reports.
        """

    def follow(self, parent: int, interrupt: int | None = None) -> None:
        """Report a ``SIGTERM`` when the process ``parent`` ends, at once if it has ended.

        Where processes cannot send signals, ``interrupt`` is the number of an event; each time it
        is set, a ``SIGINT`` is reported.
        """

    def close(self) -> None:
        """Close everything but the children's own; on Windows all processes that are left end."""

    def spawn(self, order: SpawnOrder) -> Child:
        """Start a worker, or a mold; raises OSError."""

    def fork(self, mold: Child, order: ForkOrder) -> Child:
        """Have ``mold`` fork a worker, whose process is not known yet; raises OSError."""

    def adopt(self, child: Child, pid: int) -> None:
        """Note that ``child``, which a mold was ordered to fork, is the process ``pid``."""

    def start_program(self, order: ProgramOrder) -> Child:
        """Start a program in a process group of its own; raises OSError."""

    def reap(self, refresh: Callable[[], None]) -> Iterator[Notice]:
        """Yield what happened to children since the last call.

        ``refresh`` is called before the end of an unknown process is dealt with: it reads the
        mold's reports, one of which may name it.  A process unknown after that is not ours.
        """

    def kill(self, child: Child) -> None:
        """End ``child`` now, and if it is a program all that it has started.

        The notice follows through ``reap``.  A child not forked yet is killed once it is adopted.
        """

    def signal(self, child: Child, name: str) -> None:
        """Send a signal to ``child``, a program, and to nothing that it has started.

        Raises OSError where the system cannot.  On Windows there is ``SIGBREAK``, and no other.
        """

    def send(self, child: Child, word: bytes) -> None:
        """Send ``word`` by the channel, and have ``child`` read it whatever it waits in."""

    def wake(self, child: Child) -> None:
        """Have ``child`` read its channel, again, where a wake-up can be lost.

        It can on POSIX systems: just before a system call, a signal does not interrupt it.
        """

    def hand_over(self, child: Child, word: bytes, numbers: Sequence[int]) -> None:
        """Send ``word`` with open files attached, which ``child`` may not be able to open itself.

        On Windows these can be sockets only.
        """

    def ask_for_stacks(self, child: Child) -> None:
        """Have ``child``, no program, write its stacks to its dump file, which is emptied first."""

    def stacks(self, child: Child) -> bytes:
        """Return what ``child`` has written to its dump file so far."""

    def kernel_state(self, child: Child) -> dict[str, str]:
        """Return what ``child`` is doing, as far as the system lets us read that."""

    def thread_states(self, child: Child) -> list[dict[str, str]]:
        """Return the same for each of its threads, for a hundred at most."""

    def killed_for_memory(self) -> bool:
        """Return whether the system killed a process of ours for want of memory; each kill once."""
