"""The gate on Windows: one worker at a time, the accept mutex's owner, waits for connections.

Its two waits, for the mutex and for a connection, are also for the order to leave.  It takes a
connection by a call that does not wait, so a worker that is ended while it is idle has taken none.
An overlapped AcceptEx would be a system call less; but a worker that is killed with one under
way loses the next client (seen under Wine 8).
"""

import select
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from prefork.platform.windows.api import Event, Mutex, Waits
from prefork.platform.windows.sockets import accepted_handle, announce_clients, announce_nothing
from prefork.worker.accept.gate import EXHAUSTED_PAUSE, Accepted, complain
from prefork.worker.accept.windows_quiesce import Quiesce

#: WSAEMFILE, WSAENOBUFS, ERROR_NOT_ENOUGH_MEMORY, ERROR_NO_SYSTEM_RESOURCES: perhaps later.
_EXHAUSTED: Final = frozenset({10024, 10055, 8, 1450})
#: WSAENOTSOCK, WSAEINVAL, WSAEOPNOTSUPP, ERROR_INVALID_HANDLE: there is no listener any more.
_BROKEN: Final = frozenset({10038, 10022, 10045, 6})

#: Seconds that a leaving worker waits for the mutex: a foreign program may hold it for long.
LAST_TURN: Final = 1.0
#: How often a worker tries to quiesce while clients keep coming.
LAST_TURNS: Final = 50
#: Seconds that the last worker waits for a client, right after which it can quiesce.
LAST_CLIENT: Final = 0.02

#: A listener, and what was taken from it: a connection's handle, or a datagram as it is.
Taken = tuple[socket.socket, int | Accepted]

_STOP: Final = 0  # the first of what is waited for; the lowest wins when several are set


class WindowsGate:
    """Lets one connection after another in.

    The mutex is Windows' own: when its owner dies it goes on to the next.

    A socket can announce its clients to one event only, of whichever process asked last, and
    all processes share the socket (WSAEventSelect, "shared sockets").  So its owner asks anew
    before each wait, and no other process does.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        stop: Event,
        mutex: Mutex,
        quiesce: Quiesce | None = None,
    ) -> None:
        """Leave when ``stop`` is set.

        ``quiesce`` is what to do when we are the last to leave, if there is one.
        """
        self._listeners = list(listeners)
        self._mutex = mutex
        self._quiesce = quiesce
        self._clients = Event.create(resets=True)
        self._turn = Waits([stop.value, mutex.value])
        self._arrival = Waits([stop.value, self._clients.value])
        self._stop = Waits([stop.value])
        self._last_turn = Waits([mutex.value])
        self._arrivals = Waits([self._clients.value])
        self._fresh = True  #: it has not been seen to that accepting does not block
        self._without_delay: dict[socket.socket, bool] = {}  #: connections of that have TCP_NODELAY

    def accept(self) -> Accepted | None:
        """Wait for our turn and a connection, or for the time to leave."""
        while self._turn.wait() != _STOP:
            if (accepted := self._in_our_turn(self._take)) is not None:
                return accepted
        return self._accept_last()

    def _accept_last(self) -> Accepted | None:
        """Let those in who still wait, at the server's end, and quiesce behind them."""
        for _ in range(LAST_TURNS):
            if self._quiesce is None or not self._quiesce.may_be_ours:
                return None
            if self._last_turn.wait(LAST_TURN) is None:
                return None
            if (accepted := self._in_our_turn(self._take_last)) is not None:
                return accepted
        return None

    def _in_our_turn(self, take: Callable[[], Taken | None]) -> Accepted | None:
        """Return what is taken by ``take``, as its handler gets it, and end our turn."""
        taken = None
        exhausted = ""
        try:
            taken = take()
        except _ExhaustedError as error:
            exhausted = str(error)
        finally:
            self._mutex.release()
        if exhausted:  # others may have what we have not
            complain(exhausted)
            self._stop.wait(EXHAUSTED_PAUSE)
        return None if taken is None else self._prepared(*taken)

    def _take_last(self) -> Taken | None:
        """Take the client that still waits, and quiesce.

        While the only place in the queue is taken, all other clients wait a second until they try
        again: so the moment to quiesce is right after a client was accepted.
        """
        quiesce = self._quiesce
        if quiesce is None or not quiesce.is_ours:
            self._quiesce = None  # another worker does it
            return None
        try:
            self._stop_blocking()
            self._arrivals.wait(LAST_CLIENT)
            taken = self._take_from(quiesce.open_ones)
            quiesce.shut()
        finally:
            self._restore()
        return taken

    def _restore(self) -> None:
        """Do nothing: every process that waits at these listeners sets it as we do."""

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
            self._send_at_once(connection, listener)
        except OSError:
            connection.close()
            return None
        return connection, address

    def _stop_blocking(self) -> None:
        """Announce clients to us; from then on nothing blocks in taking them.

        Clients that are queued already are announced, too.
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
                _raise_if_useless(error)
                continue
            if len(self._listeners) > 1:  # the next time the others come first
                self._listeners.remove(listener)
                self._listeners.append(listener)
            return taken
        return None

    def _send_at_once(self, connection: socket.socket, listener: socket.socket) -> None:
        """See to it that answers are not held back, unless ``listener`` has passed that on."""
        if listener not in self._without_delay:
            option = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            self._without_delay[listener] = bool(option)
        if not self._without_delay[listener]:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class ForeignPeersGate(WindowsGate):
    """Leaves the listeners as it has found them, for a foreign peer may wait in accept itself.

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
            self._restore()

    def _restore(self) -> None:
        self._fresh = True
        for listener in self._listeners:
            announce_nothing(listener)


class _ExhaustedError(Exception):
    """There is no handle or memory for a connection now."""


def _raise_if_useless(error: OSError) -> None:
    """Raise what makes it senseless to go on.

    What remains is a connection that died while it was queued: nothing is to be done.
    """
    if error.winerror in _BROKEN:
        raise error
    if error.winerror in _EXHAUSTED:
        raise _ExhaustedError(error.strerror or str(error)) from error


def _taken(listener: socket.socket) -> Taken:
    """Take from ``listener``; raises OSError, BlockingIOError when nothing waits."""
    if listener.type == socket.SOCK_DGRAM:
        return listener, listener.accept()
    return listener, accepted_handle(listener)
