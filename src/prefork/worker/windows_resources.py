"""What a worker works with on Windows: its channel, its listeners, its row, its gate."""

import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Final

from prefork.ipc import messages
from prefork.ipc.plan import Plan, read_plan
from prefork.ipc.scoreboard import Scoreboard
from prefork.logs import log
from prefork.logs.log import Log
from prefork.platform.title import show_as
from prefork.platform.windows.api import Event, Mutex
from prefork.platform.windows.files import adopted_file
from prefork.platform.windows.sockets import adopted, received
from prefork.sockets.binding import is_datagram
from prefork.worker.accept.listeners import InheritedListener
from prefork.worker.accept.windows import ForeignPeersGate, WindowsGate
from prefork.worker.accept.windows_quiesce import Quiesce
from prefork.worker.windows_channel import WindowsChannel
from prefork.worker.windows_stacks import dump_on

if TYPE_CHECKING:
    import asyncio

    from prefork.worker.accept.windows_loop import WindowsLoopGate
    from prefork.worker.counters import LoopCounters

#: The arbiter alone decides.  Ctrl-C does not reach a process group like ours, Ctrl-Break does.
_IGNORED: Final = (signal.SIGINT, signal.SIGBREAK)


def inheritance(arguments: Mapping[str, Sequence[int]]) -> tuple[Plan, socket.socket, int]:
    """Return the plan, our channel and our dump file, as the command line names them."""
    plan = read_plan(adopted_file(arguments["plan"][0]))
    dump = adopted_file(arguments["dump"][0], append=True)
    (stacks,) = arguments["stacks"]
    os.set_handle_inheritable(stacks, False)  # the user's code may start programs
    dump_on(stacks, dump)
    return plan, adopted(arguments["channel"][0]), dump


def apply_settings(plan: Plan) -> None:
    """Take on what all user code runs with."""
    settings = plan.settings
    log.use(Log(settings.log_level, as_json=settings.log_format == "json"))
    for signum in _IGNORED:
        signal.signal(signum, _ignore)
    for pair in settings.env:
        name, _, value = pair.partition("=")
        os.environ[name] = value


def _ignore(signum: int, frame: FrameType | None) -> None:
    """Exist, so that the console does not end us."""


class Resources:
    """What a worker was started with, ready to be used."""

    def __init__(self, plan: Plan, slot: int, channel: socket.socket, dump: int) -> None:
        self.plan = plan
        self.slot = slot
        self.dump = dump  #: the file for the stacks
        self.scoreboard = Scoreboard.open(adopted_file(plan.scoreboard), writable=True)
        self.row = self.scoreboard.row(slot)
        self.listeners = _listeners(plan.listeners, channel)
        self.datagrams = tuple(map(is_datagram, self.listeners))  #: whether each is for those
        self.channel = WindowsChannel(channel, self._leave)
        self.channel.start()
        show_as(f"worker {slot}", plan.settings.name, plan.generation)

    def gate(self) -> WindowsGate:
        """Return where this worker waits for connections, one at a time."""
        kind = ForeignPeersGate if self._has_foreign_peers else WindowsGate
        return kind(*self._gate_needs())

    def loop_gate(
        self, loop: "asyncio.AbstractEventLoop", counters: "LoopCounters"
    ) -> "WindowsLoopGate":
        """Return where an event loop lets connections in."""
        # Only here: asyncio costs memory and time that no other kind needs to spend.
        from prefork.worker.accept.peers import Peers
        from prefork.worker.accept.windows_loop import (
            SharingForeignPeersGate,
            SharingGate,
            WindowsLoopGate,
        )

        peers = Peers(self.scoreboard, self.slot)
        kind = SharingForeignPeersGate if self._has_foreign_peers else SharingGate
        gate = kind(*self._gate_needs())
        return WindowsLoopGate(loop, gate, self.channel, peers, counters)

    def loop_factory(self) -> "Callable[[], asyncio.AbstractEventLoop]":
        """Return what makes the event loop; raises HandlerError if there is none as asked for."""
        from prefork.worker.loop.windows_loops import loop_factory

        return loop_factory(self.plan.settings, self.row)

    def prepare_for_loop(self) -> None:
        """Do nothing: there is room enough, and a thread waits for connections."""

    def dump_tasks_too(self, loop: "asyncio.AbstractEventLoop") -> None:
        """Write the tasks of ``loop`` to the file for the stacks, when asked for them."""
        from prefork.worker.loop.tasks import write_tasks

        self.channel.when_asked_for_tasks = lambda: write_tasks(loop, self.dump)

    def _gate_needs(
        self,
    ) -> tuple[list[socket.socket], Event, Mutex, Quiesce]:
        assert self.plan.mutex is not None  # no worker accepts without one here
        os.set_handle_inheritable(self.plan.mutex, False)  # the user's code may start programs
        pairs = zip(self.plan.listeners, self.listeners, strict=True)
        ours = [listener for handle, listener in pairs if handle not in self.plan.adopted]
        quiesce = Quiesce(self.scoreboard, self.slot, ours)
        return self.listeners, self.channel.stop, Mutex(self.plan.mutex), quiesce

    @property
    def _has_foreign_peers(self) -> bool:
        """Whether peers may be none of ours: those know the mutex by its name."""
        return self.plan.settings.accept_mutex_name is not None

    def _leave(self) -> None:
        self.row.leaving = 1


def _listeners(handles: Sequence[int], channel: socket.socket) -> list[socket.socket]:
    """Return the listeners that we have inherited; raises OSError."""
    try:
        return [_fitting(adopted(handle, InheritedListener)) for handle in handles]
    except OSError:
        channel.sendall(messages.encode(messages.NotInherited()))
        return [_fitting(received(channel, messages.DRAIN, InheritedListener)) for _ in handles]


def _fitting(listener: socket.socket) -> socket.socket:
    """Return ``listener`` as one for connections, or for datagrams."""
    if not is_datagram(listener):
        return listener
    # Only here: few serve them.
    from prefork.worker.accept.windows_datagrams import DatagramListener

    return DatagramListener(fileno=listener.detach())
