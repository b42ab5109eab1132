"""What a worker works with on POSIX systems: its channel, its listeners, its row, its gate."""

import faulthandler
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Final

from prefork.ipc.layout import Header
from prefork.ipc.plan import Plan, read_plan
from prefork.ipc.scoreboard import Scoreboard
from prefork.platform.linux import signal_on_parents_death
from prefork.platform.posix.signals import DUMP, NUDGE
from prefork.platform.title import show_as
from prefork.sockets.binding import is_datagram
from prefork.worker.accept.gate import Gate
from prefork.worker.accept.posix import BlockingGate, ExclusiveGate, FileMutex, MutexGate
from prefork.worker.accept.posix_datagrams import inherit
from prefork.worker.environment import (
    allow_descriptors,
    catch_dumps,
    restore_signals_in_forks,
    take_over,
)
from prefork.worker.posix_channel import PosixChannel

if TYPE_CHECKING:
    import asyncio

    from prefork.worker.accept.posix_loop import LoopGate
    from prefork.worker.counters import LoopCounters

#: Descriptors of a worker besides its connections: its own, and some for the handlers.
DESCRIPTORS: Final = 256

_STATE: Final = Header.state.index
_STOPPING: Final = Header.state.number("stopping")


def inheritance(arguments: Mapping[str, Sequence[int]]) -> tuple[Plan, socket.socket, int]:
    """Return the plan, our channel and our dump file, as the command line names them."""
    plan = read_plan(arguments["plan"][0])
    channel, dump = take_over(plan, arguments)
    catch_dumps(dump)
    return plan, channel, dump


class Resources:
    """What a worker was started with, ready to be used."""

    def __init__(
        self,
        plan: Plan,
        slot: int,
        channel: socket.socket,
        dump: int,
        scoreboard: Scoreboard | None = None,
    ) -> None:
        self.plan = plan
        self.slot = slot
        self.dump = dump  #: the file for the stacks
        catch_dumps(dump)
        #: a forked worker has its mold's
        self.scoreboard = scoreboard or Scoreboard.open(plan.scoreboard, writable=True)
        self.row = self.scoreboard.row(slot)
        self.channel = PosixChannel(channel, self.row)
        self.channel.read_on_signal()
        signal_on_parents_death(NUDGE)
        self._mutex: FileMutex | None = None
        screened = self._is_stopping if plan.screened else None
        self.listeners = inherit(plan.listeners, wait=plan.accept == "blocking", screened=screened)
        self.datagrams = tuple(map(is_datagram, self.listeners))  #: whether each is for those
        self.channel.close_when_orphaned(self.listeners, self._limit_orphans_life)
        os.register_at_fork(after_in_child=self._let_go)
        restore_signals_in_forks()
        # Our parent may have died before the kernel knew that we want a signal then.
        self.channel.read()
        show_as(f"worker {slot}", plan.settings.name, plan.generation)

    def gate(self) -> Gate:
        """Return where this worker waits for connections, one at a time."""
        match self.plan.accept:
            case "blocking":
                return BlockingGate(self.listeners[0], self.channel)
            case "exclusive":
                return ExclusiveGate(self.listeners, self.channel)
        assert self.plan.mutex is not None
        self._mutex = FileMutex(self.plan.mutex, self.plan.settings.accept_mutex)
        self._mutex.release_when_leaving(self.channel)
        return MutexGate(self.listeners, self.channel, self._mutex)

    def loop_gate(self, loop: "asyncio.AbstractEventLoop", counters: "LoopCounters") -> "LoopGate":
        """Return where an event loop lets connections in."""
        # Only here: asyncio costs memory and time that no other kind needs to spend.
        from prefork.worker.accept.peers import Peers
        from prefork.worker.accept.posix_loop import LoopGate

        peers = Peers(self.scoreboard, self.slot)
        return LoopGate(loop, self.listeners, self.channel, peers, counters)

    def loop_factory(self) -> "Callable[[], asyncio.AbstractEventLoop]":
        """Return what makes the event loop; raises HandlerError if there is none as asked for."""
        from prefork.worker.loop.posix_loops import loop_factory

        return loop_factory(self.plan.settings, self.row)

    def prepare_for_loop(self) -> None:
        """Make room for many connections, and have accepting never block."""
        allow_descriptors(self.plan.settings.concurrency + DESCRIPTORS)
        for listener in self.listeners:
            # The flag belongs to the socket, which all workers share; all are of one kind.
            listener.setblocking(False)

    def dump_tasks_too(self, loop: "asyncio.AbstractEventLoop") -> None:
        """Write the tasks of ``loop`` after the stacks, on DUMP."""
        from prefork.worker.loop.tasks import write_tasks

        def write(signum: int, frame: FrameType | None) -> None:
            del signum, frame
            write_tasks(loop, self.dump)

        faulthandler.unregister(DUMP)  # what is registered once is not registered anew
        signal.signal(DUMP, write)
        catch_dumps(self.dump, chain=True)

    def _is_stopping(self) -> bool:
        return self.scoreboard.header.words[_STATE] == _STOPPING  # asked at every accept

    def _let_go(self) -> None:
        """Keep nothing in a process that the user's code forks: it would keep it beyond our end.

        That is the port, and the accept mutex: a lock by flock lasts as long as any copy of its
        open file.
        """
        for listener in self.listeners:
            listener.close()
        if self._mutex is not None:
            self._mutex.close()
        self.channel.close()

    def _limit_orphans_life(self) -> None:
        """End within graceful-timeout, whatever holds us, when no arbiter is there to see to it."""
        patience = max(self.plan.settings.graceful_timeout, 0.001)
        faulthandler.dump_traceback_later(patience, exit=True, file=self.dump)
