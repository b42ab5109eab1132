"""The gate of workers with an event loop on Windows: a thread waits there and hands over.

A listener cannot be shared by loops of Windows' own kind, for it belongs to the completion port of
the first, and no loop can wait for the accept mutex.  What a blocking worker does at the gate, a
thread does here, by leave of the loop and for one connection at a time.

The loop gives leave when the last connection has had its first turn and there is room for another.
When a client comes, the mutex's owner passes it on if its own loop is stuck, or if a peer is
clearly idler: peers with room wait for the mutex, too.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, Final

from prefork.platform.windows.api import Event, Waits
from prefork.worker.accept.peers import Peers
from prefork.worker.accept.queueing import PASS_PATIENCE, better_placed
from prefork.worker.accept.windows import ForeignPeersGate, Taken, WindowsGate
from prefork.worker.counters import LoopCounters
from prefork.worker.windows_channel import WindowsChannel

#: Seconds after which our loop counts as stuck; Windows' clock may go in steps of 16 ms.
_LONG_TURN: Final = 0.02


class PassedOn(Exception):  # noqa: N818  (no error: it ends a wait)
    """The mutex has been given up, for another worker is to take the next connection."""


class SharingGate(WindowsGate):
    """The gate at which the mutex's owner may leave the next connection to other workers."""

    #: Called by the mutex's owner before it takes a connection; may raise PassedOn.
    before_taking: Callable[[], None]

    def _take_from(self, listeners: Iterable[socket.socket]) -> Taken | None:
        self.before_taking()
        return super()._take_from(listeners)


class SharingForeignPeersGate(ForeignPeersGate, SharingGate):
    """The same, for listeners at which foreign peers may wait."""


class WindowsLoopGate:
    """Lets connections into an event loop, one at a turn."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        gate: SharingGate,
        channel: WindowsChannel,
        peers: Peers,
        counters: LoopCounters,
    ) -> None:
        self.left = loop.create_future()  #: done when it is time to leave, and nothing is taken
        self._loop = loop
        self._gate = gate
        self._channel = channel
        self._peers = peers
        self._counters = counters
        self._leave_given = Event.create(resets=True)
        self._leave = Waits([self._leave_given.value])
        self._thread = threading.Thread(target=self._accept_all, name="gate", daemon=True)
        self._has_leave = False  #: the thread has leave to take one more
        self._passed = False  #: what comes next has been left to a peer already
        self._fresh: set[int] = set()  #: connections that have not had their first turn
        gate.before_taking = self._pass_on

    def open(self, take: Callable[[socket.socket, Any], int], limit: int) -> None:
        """Begin to hand connections and their addresses to ``take``, ``limit`` at a time.

        ``take`` returns the key by which they are named later.
        """
        self._take = take
        self._limit = limit
        self._thread.start()
        self._give_leave()

    def close(self) -> None:
        """Close everything; ``left`` is done."""
        self._thread.join()
        self._leave_given.close()

    def settled(self, key: int) -> None:
        """Note that a connection has had its first turn.

        What it has sent by now is handled in this turn, or in the next when it has to be fetched
        by an overlapped call; and the thread goes at once, not when the turn has ended.
        """
        self._loop.call_soon(self.finished, key)

    def finished(self, key: int) -> None:
        """Note that a connection has ended: there is room for another."""
        self._fresh.discard(key)
        self._give_leave()

    def _give_leave(self) -> None:
        """Let the thread take one connection, if there is room and time for it."""
        if not self._has_leave and not self._fresh and self._counters.connections < self._limit:
            self._has_leave = True
            self._leave_given.set()

    def _on_arrival(self, connection: socket.socket, address: object) -> None:
        self._has_leave = False
        self._fresh.add(self._take(connection, address))

    def _on_pass(self) -> None:
        self._loop.call_later(PASS_PATIENCE, self._come_back)

    def _come_back(self) -> None:
        self._has_leave = False
        self._give_leave()

    # What follows is run by the thread.

    def _accept_all(self) -> None:
        report = self._loop.call_soon_threadsafe
        try:
            while self._accept_once():
                pass
        except BaseException as error:  # noqa: BLE001 (a worker that takes no more must end)
            report(self.left.set_exception, error)
        else:
            report(self.left.set_result, None)

    def _accept_once(self) -> bool:
        """Wait for leave and a connection; return whether there will be more.

        Also when it is time to leave, for the last ones accept the clients that still wait then.
        """
        self._leave.wait()
        try:
            accepted = self._gate.accept()
        except PassedOn:
            self._loop.call_soon_threadsafe(self._on_pass)
            return True
        if accepted is None:
            return False
        self._loop.call_soon_threadsafe(self._on_arrival, *accepted)
        return True

    def _pass_on(self) -> None:
        """Raise PassedOn if the next connection is better off elsewhere.

        What has been left to a peer and is there still, is ours: no worker that waits for the mutex
        has room.  But whatever comes to a loop that is stuck would wait until it goes on.
        """
        if self._is_stuck():
            raise PassedOn
        peer = better_placed(
            self._peers,
            self._counters.connections,
            leaving=self._channel.leaving,
            left_before=self._passed,
        )
        self._passed = peer is not None
        if self._passed:
            raise PassedOn

    def _is_stuck(self) -> bool:
        turn_began = self._counters.row.turn_since  # 0 while the loop sleeps
        return 0 < turn_began <= monotonic() - _LONG_TURN
