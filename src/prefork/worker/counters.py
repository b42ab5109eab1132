"""Counts a worker's units of work in its row, for status, scaling and the watch over hangs."""

import threading
from time import monotonic
from typing import Protocol

from prefork.ipc.scoreboard import (
    W_ACCEPTED,
    W_ACTIVE,
    W_BUSY_SINCE,
    W_FAILED,
    W_HANDLED,
    W_HELD_SINCE,
    Row,
)
from prefork.sockets.listeners import peer_text


class Tally(Protocol):
    """Is told when a unit, a connection here, begins and ends."""

    def begin(self, address: object) -> int:
        """Count a connection from ``address`` as taken; return a token for ``end``."""

    def end(self, token: int, *, failed: bool) -> None:
        """Count the unit as finished."""


class SoleTally:
    """For a worker that does one thing at a time; the row itself remembers it."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self._words = row.words
        self._clock = row.clock

    def begin(self, address: object) -> int:
        """Count a connection from ``address`` as taken."""
        words = self._words
        self.row.peer = peer_text(address)
        # In this order: whoever sees an active unit also sees since when.
        self._clock[W_BUSY_SINCE] = monotonic()
        words[W_ACCEPTED] += 1
        words[W_ACTIVE] = 1
        return 0

    def end(self, token: int, *, failed: bool) -> None:
        """Count the unit as finished."""
        del token
        words = self._words
        words[W_ACTIVE] = 0
        self._clock[W_BUSY_SINCE] = 0.0
        words[W_HANDLED] += 1
        if failed:
            words[W_FAILED] += 1


class SharedTally:
    """For the threads of a worker; the row tells of the unit that has been at work longest."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self._lock = threading.Lock()
        self._next = 0
        self._units: dict[int, tuple[float, object]] = {}  # by token, oldest first

    def begin(self, address: object) -> int:
        """Count a connection from ``address`` as taken; return a token for ``end``."""
        with self._lock:
            token = self._next = self._next + 1
            self._units[token] = (monotonic(), address)
            self.row.words[W_ACCEPTED] += 1
            self._show()
        return token

    def end(self, token: int, *, failed: bool) -> None:
        """Count the unit as finished."""
        with self._lock:
            del self._units[token]
            self.row.words[W_HANDLED] += 1
            if failed:
                self.row.words[W_FAILED] += 1
            self._show()

    def _show(self) -> None:
        since, address = next(iter(self._units.values()), (0.0, None))
        self.row.clock[W_BUSY_SINCE] = since
        self.row.words[W_ACTIVE] = len(self._units)
        if address is not None:
            self.row.peer = peer_text(address)


class LoopTally:
    """For an event loop, whose units may last; the row tells of the one held longest."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self._next = 0
        self._units: dict[int, tuple[float, object]] = {}  # by token, oldest first

    @property
    def active(self) -> int:
        """How many units are in progress."""
        return len(self._units)

    def begin(self, address: object) -> int:
        """Count a connection from ``address`` as taken; return a token for ``end``."""
        token = self._next = self._next + 1
        units, words = self._units, self.row.words
        units[token] = (monotonic(), address)
        if len(units) == 1:
            self._show_oldest()
        words[W_ACCEPTED] += 1
        words[W_ACTIVE] = len(units)
        return token

    def end(self, token: int, *, failed: bool) -> None:
        """Count the unit as finished."""
        units, words = self._units, self.row.words
        was_oldest = next(iter(units)) == token
        del units[token]
        words[W_ACTIVE] = len(units)
        words[W_HANDLED] += 1
        if failed:
            words[W_FAILED] += 1
        if was_oldest:
            self._show_oldest()

    def peer(self, token: int) -> str:
        """Return the client's address of a unit in progress as text."""
        return peer_text(self._units[token][1])

    def _show_oldest(self) -> None:
        since, address = next(iter(self._units.values()), (0.0, None))
        self.row.clock[W_HELD_SINCE] = since
        if address is not None:
            self.row.peer = peer_text(address)
