"""What stands on the scoreboard: every field, declared once, and who writes it.

Reserved words may be declared later; a change of what stands in a word raises ``LAYOUT``.
"""

from typing import Final

from prefork.ipc.fields import Area, Choice, Moment, Number, Text
from prefork.settings.values import MOST_WORKERS

LAYOUT: Final = 3
MAGIC: Final = int.from_bytes(b"prefork" + bytes([LAYOUT]), "big")

#: A slot is kept for each worker that still drains while its successor is there.
SLOTS: Final = 2 * MOST_WORKERS

#: In ``busy_since`` of a program that has never reported what it holds.
NEVER_REPORTED: Final = -1.0

#: In ``peer_port``: nothing has been taken; the client's address has no port (a Unix socket).
NO_PEER, NO_PORT = -1, -2


class Header(Area, words=128):
    """The server as a whole.  Written by the arbiter."""

    __slots__ = ()

    magic = Number("distinguishes the file from any other, and the layout from others")
    pid = Number("the arbiter's process id")
    state = Choice(
        "of the server", "", "starting", "running", "stopping", "reloading", "stopped"
    )  # fmt: skip
    generation = Number("the current one")
    started = Moment("when the arbiter began")
    minimum = Number("the limits in effect")
    maximum = Number("see minimum")
    target = Number("how many workers are wanted")
    used_slots = Number("slots from here on have never had a worker")
    spawned = Number("workers started")
    exited = Number("workers gone, for whatever reason")
    crashed = Number("workers gone by a crash")
    hung = Number("workers replaced because they hung")
    description_length = Number("bytes of the description that stands behind the header")
    kind = Text("of what is served; empty until a process has loaded it", words=4)
    accept = Text("how workers wait for connections", words=2)


class Record(Area, words=16):
    """The arbiter's words about a slot: which process is there, since when, in what state."""

    __slots__ = ()

    pid = Number("process id; 0 until the system has given one")
    generation = Number("that the worker was started with")
    state = Choice(
        "of the worker; empty when there is none", "", "starting", "ready", "draining", "killed"
    )  # fmt: skip
    started = Moment("when the worker was ordered")
    accepted_before = Number("the row's count when this worker began")
    handled_before = Number("the row's count when this worker began")
    failed_before = Number("the row's count when this worker began")

    def prepare(self, generation: int, started: float, row: "Row") -> None:
        """Enter a worker to come, whose counters go on from where the slot's row stands."""
        row.clear()
        self.accepted_before = row.accepted
        self.handled_before = row.handled
        self.failed_before = row.failed
        self.pid = 0
        self.generation = generation
        self.started = started


class Row(Area, words=64):
    """A worker's words: what it has counted in its slot, and what it holds right now.

    A program (``prefork exec``) does not know of its row: the arbiter writes what it reports.
    The order is that of ``worker.counters``, which writes neighbours with one call: since when a
    unit is in progress comes before that it is.
    """

    __slots__ = ()

    peer_host = Text("the client's address, without the port, of the oldest unit", words=8)
    peer_port = Number("the client's port, or NO_PEER, or NO_PORT")
    busy_since = Moment("start of the oldest unit, where each has to end within ``timeout``")
    held_since = Moment("start of the oldest unit, where units may last")
    accepted = Number("connections taken, or datagrams")
    connections = Number("connections held")
    active = Number("units in progress: connections, requests or datagrams")
    handled = Number("units finished, failed ones included")
    failed = Number("units whose handler raised")
    turn_since = Moment("when the event loop's present turn began; 0 while it sleeps")
    leaving = Number("1 once it takes no more; 2 once it has also closed the way in (Windows)")
    text = Text("what a program reports of itself, for people", words=8)

    @property
    def peer(self) -> tuple[str, int] | str | None:
        """The client of the oldest unit, as ``accept`` named it; None if nothing was taken."""
        host, port = self.peer_host, self.peer_port
        if port == NO_PEER:
            return None
        return host if port == NO_PORT else (host, port)

    def clear(self) -> None:
        """Clear what the slot's former worker held when it died; its counters stay."""
        self.active = self.connections = self.leaving = 0
        self.busy_since = self.held_since = self.turn_since = 0.0
        self.peer_host = self.text = ""
        self.peer_port = NO_PEER
