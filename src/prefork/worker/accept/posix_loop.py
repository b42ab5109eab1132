"""The gate of workers with an event loop: takes part in the accept set from within the loop.

The listener is watched by the loop's own epoll, with EPOLLEXCLUSIVE, and registered anew after
each accept: so a connection wakes one worker, the one that has waited longest.  (An epoll nested
in the loop's does not help, and asyncio's and uvloop's own servers wake all workers; measured, see
the decision record on accepting.)

One connection is taken at a time: until it has had its first turn, the worker stays out of the
queue, for if the first thing it asks for blocks the loop, it would block the next one, too.  None
is taken at capacity, and none while a peer that sleeps is clearly idler: that one is woken.
"""

import asyncio
import errno
import os
import select
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from prefork.platform.posix.signals import NUDGE
from prefork.worker.accept.gate import EXHAUSTED_PAUSE, complain
from prefork.worker.accept.peers import Peers
from prefork.worker.accept.posix import EXHAUSTED
from prefork.worker.accept.queueing import PASS_PATIENCE, better_placed
from prefork.worker.counters import LoopCounters
from prefork.worker.loop.posix_loops import epoll_of
from prefork.worker.posix_channel import PosixChannel


class ListenerWatch:
    """A listener in the loop's epoll: exclusive, and moved to the queue's end when we like.

    The loop registers it once and takes it for registered from then on; what ``pause`` and
    ``resume`` do to the epoll directly, the loop is never asked to undo.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        epoll: "select.epoll | None",
        listener: socket.socket,
        arrived: Callable[[socket.socket], None],
    ) -> None:
        self.listener = listener
        self._loop = loop
        self._epoll = epoll
        self._arrived = arrived
        self._fd = listener.fileno()
        self._on = True
        self.broken = False  #: nothing will ever arrive again
        loop.add_reader(self._fd, arrived, listener)
        if epoll is not None:
            # libuv registers with the kernel at its next poll, after the next round of callbacks.
            loop.call_soon(loop.call_soon, self.rejoin)

    def pause(self) -> None:
        """Leave the queue."""
        if not self._on:
            return
        self._on = False
        if self._epoll is None:
            self._loop.remove_reader(self._fd)
        else:
            with suppress(OSError):
                self._epoll.unregister(self._fd)

    def resume(self) -> None:
        """Join the queue at its end; a connection that waits already wakes us."""
        if self._on or self.broken:
            return
        self._on = True
        if self._epoll is None:
            self._loop.add_reader(self._fd, self._arrived, self.listener)
        else:
            self._epoll.register(self._fd, select.EPOLLIN | select.EPOLLEXCLUSIVE)

    def rejoin(self) -> None:
        """Go to the end of the queue."""
        if self._on and self._epoll is not None:
            self.pause()
            self.resume()


class LoopGate:
    """Lets connections into an event loop, one at a turn."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listeners: Sequence[socket.socket],
        channel: PosixChannel,
        peers: Peers,
        counters: LoopCounters,
    ) -> None:
        self.left = loop.create_future()  #: done when it is time to leave, and nothing is taken
        self._loop = loop
        self._listeners = listeners
        self._channel = channel
        self._peers = peers
        self._counters = counters
        self._watches: dict[socket.socket, ListenerWatch] = {}
        self._back: asyncio.TimerHandle | None = None  #: when we join the queue again
        self._fresh: set[int] = set()  #: connections that have not had their first turn
        self._watched: tuple[int, ...] = ()  #: descriptors of the channel that we watch
        self._exhausted = False  #: there was no descriptor for the last connection

    def open(self, take: Callable[[socket.socket, Any], int], limit: int) -> None:
        """Begin to hand connections and their addresses to ``take``, ``limit`` at a time.

        ``take`` returns the key by which they are named later.
        """
        self._take = take
        self._limit = limit
        epoll = epoll_of(self._loop)
        for listener in self._listeners:
            self._watches[listener] = ListenerWatch(self._loop, epoll, listener, self._on_arrival)
        self._watched = self._channel.descriptors
        for fd in self._watched:
            self._loop.add_reader(fd, self._read_channel)
        self._channel.call(
            when_nudged=self._on_signal,
            before_orphaned=self._pause,
        )

    def close(self) -> None:
        """Be called no more."""
        self._channel.forget_calls()

    def settled(self, key: int) -> None:
        """Note that a connection has had its first turn."""
        self._fresh.discard(key)
        self._resume()

    def finished(self, key: int) -> None:
        """Note that a connection has ended: there is room for another."""
        self.settled(key)

    def _on_arrival(self, listener: socket.socket) -> None:
        if self._counters.connections >= self._limit:
            return  # another listener, in the same turn, has brought the last one that fits
        peer = better_placed(
            self._peers,
            self._counters.connections,
            leaving=self._channel.leaving,
            left_before=False,
        )
        if peer is None:
            self._accept(listener)
            return
        if peer.asleep:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(peer.pid, NUDGE)
        # Whatever becomes of it: if no peer has taken the connection by then, it is ours.
        self._come_back_in(PASS_PATIENCE)

    def _on_signal(self) -> None:
        self._loop.call_soon_threadsafe(self._on_nudge)

    def _on_nudge(self) -> None:
        """Take what a peer leaves to us, or read the order to leave: both wake us the same way."""
        if self.left.done():
            return
        self._read_channel()
        for listener in self._listeners:
            if not self.left.done() and self._counters.connections < self._limit:
                self._accept(listener)

    def _read_channel(self) -> None:
        # The signal's handler may have read it before: what counts is what we watch.
        self._channel.read()
        before, self._watched = self._watched, self._channel.descriptors
        for fd in before:
            if fd not in self._watched:
                self._loop.remove_reader(fd)
        if self._channel.leaving and not self.left.done():
            self._leave()

    def _leave(self) -> None:
        # A connection may have woken this worker only, together with the order to leave.
        for listener in self._listeners:
            if self._counters.connections < self._limit and not self._channel.orphaned:
                self._accept(listener)
        self._pause()
        if self._back is not None:
            self._back.cancel()
        self.left.set_result(None)

    def _accept(self, listener: socket.socket) -> None:
        watch = self._watches[listener]
        try:
            connection, address = listener.accept()
        except BlockingIOError:
            return  # a peer was faster
        except OSError as error:
            self._after_failure(error, watch)
            return
        self._exhausted = False
        self._pause()
        self._fresh.add(self._take(connection, address))

    def _after_failure(self, error: OSError, watch: ListenerWatch) -> None:
        if error.errno == errno.EINVAL:
            # Shut down by a stop that is under way; it would go on waking us.
            watch.broken = True
            watch.pause()
        elif error.errno in EXHAUSTED:
            if not self._exhausted:  # logged once, however long it lasts
                complain(error.strerror or str(error))
            self._exhausted = True
            self._come_back_in(EXHAUSTED_PAUSE)
        # What remains is a connection that died while it was queued.

    def _come_back_in(self, delay: float) -> None:
        self._pause()
        if self._back is None:
            self._back = self._loop.call_later(delay, self._come_back)

    def _come_back(self) -> None:
        # Still set while what waits is looked at: it is not passed on a second time.
        for listener in self._listeners:
            if self._counters.connections < self._limit:
                self._accept(listener)
        self._back = None
        self._resume()

    def _pause(self) -> None:
        for watch in self._watches.values():
            watch.pause()

    def _resume(self) -> None:
        """Join the queue, if there is room and time for a connection."""
        if self._fresh or self._back is not None or self._channel.leaving:
            return
        if self._counters.connections < self._limit:
            for watch in self._watches.values():
                watch.resume()
