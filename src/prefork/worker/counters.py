"""Counts a worker's connections and units in its row, for status, scaling and hang detection.

Connections held and units in progress are two numbers.  For every kind that is served today a
connection (or a datagram) *is* a unit, so one call begins both, and one ends both.  A kind whose
connections carry many requests gets counters of its own here, which count the units between the
begin and the end of a connection: the row, the pool and the status know both numbers already.
"""

import threading
from time import monotonic
from typing import ClassVar, Protocol

from prefork.ipc.layout import NO_PORT, Row
from prefork.sockets.listeners import peer_text

_PEER = (Row.peer_host, Row.peer_port)
_SINCE = (Row.busy_since, Row.held_since)
_HELD = (Row.accepted, Row.connections, Row.active)
_ACCEPTED, _CONNECTIONS, _ACTIVE = (field.index for field in _HELD)
_HANDLED = Row.handled.index


class Counters(Protocol):
    """Counts connections that are units of work, too."""

    def begin(self, address: object) -> int:
        """Count a connection from ``address`` as taken; return a key for ``end``."""

    def end(self, key: int, *, failed: bool) -> None:
        """Count the unit as finished and the connection as closed."""


class SingleCounters:
    """For a worker that does one thing at a time.

    Nobody else writes the row's counters, so they are kept here and only written there.
    """

    def __init__(self, row: Row) -> None:
        self.row = row
        self._accepted, self._handled = row.accepted, row.handled
        self._write_begin = row.writer(*_PEER, *_SINCE, *_HELD)
        self._write_end = row.writer(*_SINCE, *_HELD, Row.handled)

    def begin(self, address: object) -> int:
        """Count a connection from ``address`` as taken."""
        self._accepted = accepted = self._accepted + 1
        host, port = client_words(address)
        self._write_begin(host, port, monotonic(), 0.0, accepted, 1, 1)
        return 0

    def end(self, key: int, *, failed: bool) -> None:
        """Count the unit as finished and the connection as closed."""
        del key
        self._handled = handled = self._handled + 1
        self._write_end(0.0, 0.0, self._accepted, 0, 0, handled)
        if failed:
            self.row.failed += 1


class LoopCounters:
    """For an event loop, whose units may last; the row shows the one held longest."""

    _since: ClassVar[int] = Row.held_since.index

    def __init__(self, row: Row) -> None:
        self.row = row
        self._units: dict[int, tuple[float, object]] = {}  # by key, oldest first
        self._accepted, self._handled = row.accepted, row.handled
        self._words, self._clock = row.words, row.clock
        self._write_peer = row.writer(*_PEER)

    @property
    def connections(self) -> int:
        """How many connections are held."""
        return len(self._units)

    def begin(self, address: object) -> int:
        """Count a connection from ``address`` as taken; return a key for ``end``."""
        key = self._accepted = self._accepted + 1
        units, words = self._units, self._words
        units[key] = (monotonic(), address)
        held = len(units)
        if held == 1:
            self._show_oldest()
        words[_ACCEPTED] = key
        words[_CONNECTIONS] = words[_ACTIVE] = held
        return key

    def end(self, key: int, *, failed: bool) -> None:
        """Count the unit as finished and the connection as closed."""
        units, words = self._units, self._words
        was_oldest = next(iter(units)) == key
        del units[key]
        words[_CONNECTIONS] = words[_ACTIVE] = len(units)
        words[_HANDLED] = self._handled = self._handled + 1
        if failed:
            self.row.failed += 1
        if was_oldest:
            self._show_oldest()

    def _show_oldest(self) -> None:
        for since, address in self._units.values():
            self._write_peer(*client_words(address))
            self._clock[self._since] = since
            return
        self._clock[self._since] = 0.0


class ThreadedCounters(LoopCounters):
    """For the threads of a worker, each of whose units has to end within ``timeout``."""

    _since = Row.busy_since.index

    def __init__(self, row: Row) -> None:
        super().__init__(row)
        self._lock = threading.Lock()

    def begin(self, address: object) -> int:
        """Count a connection from ``address`` as taken; return a key for ``end``."""
        with self._lock:
            return LoopCounters.begin(self, address)  # quicker than super()

    def end(self, key: int, *, failed: bool) -> None:
        """Count the unit as finished and the connection as closed."""
        with self._lock:
            LoopCounters.end(self, key, failed=failed)


def client_words(address: object) -> tuple[bytes, int]:
    """Return host and port of a client as they stand in a row.

    Not as one text: that is made only when somebody looks.
    """
    if isinstance(address, tuple):
        return address[0].encode(), address[1]
    return peer_text(address).encode("utf-8", "replace"), NO_PORT
