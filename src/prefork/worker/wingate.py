"""The gate on Windows: one worker at a time, the accept mutex's owner, waits for connections.

Its two waits, for the mutex and for a connection, are also for the order to leave.  It takes a
connection by a call that does not wait, so a worker that is ended while it is idle has taken none.
An overlapped AcceptEx would be a system call less; but whoever is killed with one under way takes
the next client along (seen under Wine 8).
"""

# ruff: noqa: E402  (checkers on other systems pass over what follows the assertion)

import sys

assert sys.platform == "win32"

import contextlib
import select
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from prefork.backends.win32 import Event, Mutex, Waits
from prefork.backends.winsockets import accepted_handle, announce_clients, announce_nothing
from prefork.worker.gate import Accepted
from prefork.worker.windoor import Door

#: WSAEMFILE, WSAENOBUFS, ERROR_NOT_ENOUGH_MEMORY, ERROR_NO_SYSTEM_RESOURCES: perhaps later.
_EXHAUSTED: Final = frozenset({10024, 10055, 8, 1450})
#: Seconds until the next try after that.
EXHAUSTED_PAUSE: Final = 0.1
#: WSAENOTSOCK, WSAEINVAL, WSAEOPNOTSUPP, ERROR_INVALID_HANDLE: there is no listener any more.
_BROKEN: Final = frozenset({10038, 10022, 10045, 6})

#: Seconds that who leaves waits for a last turn: a program of somebody else's may keep its own.
LAST_TURN: Final = 1.0
#: Seconds that the last one waits for a client behind whom the door can be shut.
LAST_CLIENT: Final = 0.02

#: A listener, and what was taken from it: a connection's handle, or a datagram as it is.
Taken = tuple[socket.socket, int | Accepted]

_STOP: Final = 0  # the first of what is waited for; the lowest wins when several are set


class WindowsGate:
    """Lets one connection after another in.

    The mutex is Windows' own: when its owner dies it goes on to the next.

    A socket can announce its clients to one event only, of whichever process said so last, and
    all processes share the socket (WSAEventSelect, "shared sockets").  So its owner says so anew
    before each wait, and nobody else does.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        stop: Event,
        mutex: Mutex,
        complain: Callable[[str], object],
        door: Door | None = None,
    ) -> None:
        """Leave when ``stop`` is set; tell ``complain`` why no connection can be taken for now.

        ``door`` is what to shut when we are the last to leave, if there is one.
        """
        self._listeners = list(listeners)
        self._mutex = mutex
        self._complain = complain
        self._door = door
        self._clients = Event.create(resets=True)
        self._turn = Waits([stop.value, mutex.value])
        self._arrival = Waits([stop.value, self._clients.value])
        self._stop = Waits([stop.value])
        self._last_turn = Waits([mutex.value])
        self._arrivals = Waits([self._clients.value])
        self._fresh = True  #: it has not been seen to that accepting does not block
        self._without_delay: bool | None = None  #: TCP_NODELAY comes from the listener

    def accept(self) -> Accepted | None:
        """Wait for our turn and a connection, or for the time to leave."""
        while self._turn.wait() != _STOP:
            try:
                taken = self._take()
            finally:
                self._mutex.release()
            if taken is not None and (accepted := self._prepared(*taken)) is not None:
                return accepted
        return self._take_last()

    def _take_last(self) -> Accepted | None:
        """Take who still waits, at the server's end, and shut the door behind.

        While the only place in the queue is taken, all others wait a second until they ask again:
        so the moment to shut the door unseen is right after somebody was let in.
        """
        door = self._door
        if door is None or self._last_turn.wait(LAST_TURN) is None:
            return None
        try:
            if not door.is_ours:
                return None
            self._stop_blocking()
            self._arrivals.wait(LAST_CLIENT)
            taken = self._look()
            if all([door.shut(listener) for listener in self._listeners]):
                door.leave()
            elif taken is None:  # somebody has come meanwhile
                taken = self._look()
        finally:
            self._mutex.release()
        return None if taken is None else self._prepared(*taken)

    def _prepared(self, listener: socket.socket, what: int | Accepted) -> Accepted | None:
        """Return what was taken from ``listener`` as its handler gets it; None if it is gone.

        All that can wait until the next one has the mutex is done here.
        """
        if not isinstance(what, int):
            return what
        connection = socket.socket(listener.family, listener.type, listener.proto, fileno=what)
        try:
            address = connection.getpeername()
            connection.set_inheritable(False)
            announce_nothing(connection)
            self._send_at_once(connection)
        except OSError:
            connection.close()
            return None
        return connection, address

    def _stop_blocking(self) -> None:
        """Announce clients to us; from then on nothing blocks in taking them.

        Who is queued already is announced, too.
        """
        for listener in self._listeners:
            announce_clients(listener, self._clients.value)
        self._fresh = False

    def _take(self) -> Taken | None:
        """Wait until a connection has come to any listener and take it; None when it is to leave.

        Under load one waits already, and the calls around the wait are saved.
        """
        taken = None if self._fresh else self._look()
        while taken is None:
            self._stop_blocking()
            if self._arrival.wait() == _STOP:
                return None
            taken = self._look()
        return taken

    def _look(self) -> Taken | None:
        """Take a connection, if one waits anywhere."""
        return self._take_from(self._listeners)

    def _take_from(self, listeners: Iterable[socket.socket]) -> Taken | None:
        for listener in listeners:
            try:
                taken = _taken(listener)
            except BlockingIOError:
                continue
            except OSError as error:
                self._heed(error)
                continue
            if len(self._listeners) > 1:  # the next time the others come first
                self._listeners.remove(listener)
                self._listeners.append(listener)
            return taken
        return None

    def _send_at_once(self, connection: socket.socket) -> None:
        """See to it that answers are not held back, unless the listener has passed that on."""
        if self._without_delay is None:
            option = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            self._without_delay = bool(option)
        if not self._without_delay:
            with contextlib.suppress(OSError):  # gone already
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _heed(self, error: OSError) -> None:
        """Wait, if it makes sense to go on; raise ``error`` if it does not.

        What remains is a connection that died while it was queued: nothing is to be done.
        """
        if error.winerror in _BROKEN:
            raise error
        if error.winerror in _EXHAUSTED:
            self._complain(error.strerror or str(error))
            self._stop.wait(EXHAUSTED_PAUSE)


class GuestGate(WindowsGate):
    """Leaves the listeners as it has found them, for a sibling may wait in accept itself.

    One that is not of ours does; it would not wait at a listener that announces its clients.
    """

    def _take(self) -> Taken | None:
        # Under load one waits already; then they need not be changed at all.
        ready, _, _ = select.select(self._listeners, (), (), 0)
        if (taken := self._take_from(ready)) is not None:
            return taken
        try:
            return super()._take()
        finally:
            self._fresh = True
            for listener in self._listeners:
                announce_nothing(listener)


def _taken(listener: socket.socket) -> Taken:
    """Take from ``listener``; raises OSError, BlockingIOError when nothing waits."""
    if listener.type == socket.SOCK_DGRAM:
        return listener, listener.accept()
    return listener, accepted_handle(listener)
