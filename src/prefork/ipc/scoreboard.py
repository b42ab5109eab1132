"""The scoreboard: rows of counters in memory that all processes share, one writer per row.

A file-backed mapping: the header and a *record* for each slot are written by the arbiter only,
a *row* for each slot by that slot's worker only, and anybody may read, also while the arbiter is
stopped.  Each field is one aligned word that means something alone; a reader never needs two
that agree.  After Apache's scoreboard file (httpd, ``include/scoreboard.h``).

Counters belong to the slot, not to the process: a successor counts on from where the dead
worker ended, and the record keeps where it began.  So the totals are sums over the slots, and no
death, however sudden, loses a count.
"""

import mmap
import os
from dataclasses import dataclass
from typing import Final

from prefork.errors import ProtocolError

MAGIC: Final = 0x70_72_65_66_6F_72_6B_02  # "prefork", layout 2
SLOTS: Final = 4096  #: the most workers a server can have

# Sizes in bytes.  The text of the header holds what never changes: name and listeners.
HEADER_SIZE: Final = 512
TEXT_SIZE: Final = 16 * 1024 - HEADER_SIZE
RECORD_SIZE: Final = 64
ROW_SIZE: Final = 128
RECORDS_AT: Final = HEADER_SIZE + TEXT_SIZE
ROWS_AT: Final = RECORDS_AT + SLOTS * RECORD_SIZE
SIZE: Final = ROWS_AT + SLOTS * ROW_SIZE

# Words of the header, written by the arbiter.
H_MAGIC, H_PID, H_STATE, H_GENERATION, H_STARTED = range(5)
H_MINIMUM, H_MAXIMUM, H_TARGET, H_USED = range(5, 9)
H_SPAWNED, H_EXITED, H_CRASHED, H_HUNG, H_RECYCLED, H_RELOADS = range(9, 15)
H_TEXT_LENGTH, H_KIND = 15, 16

# Words of a slot's record, written by the arbiter.
R_PID, R_GENERATION, R_STATE, R_STARTED, R_ACCEPTED, R_HANDLED, R_FAILED = range(7)

# Words of a slot's row, written by its worker; a text, as a rule the client's address, stands
# behind them.  BUSY_SINCE is of the oldest unit where each has to end within ``timeout``,
# HELD_SINCE where it may last.  TURN_SINCE is when an event loop's present turn began, 0 while it
# sleeps.  A program that knows nothing of rows (``prefork exec``) does not write its own: the
# arbiter enters what it hears from it, and the text is what the program says of itself.
W_ACCEPTED, W_HANDLED, W_FAILED, W_ACTIVE, W_BUSY_SINCE, W_LEAVING = range(6)
W_TURN_SINCE, W_HELD_SINCE = range(6, 8)
PEER_AT: Final = 64
PEER_SIZE: Final = ROW_SIZE - PEER_AT

#: In BUSY_SINCE of a program that has never said what it holds.
UNKNOWN: Final = -1.0

#: Numbers of the states in the records; 0 is a slot without a worker.
STATES: Final = ("", "starting", "ready", "draining", "killed")
#: Numbers of the kinds of handlers in the header; 0 as long as nobody has told.
KINDS: Final = tuple(
    [
        "",
        "stream",
        "asyncio",
        "protocol",
        "socketserver",
        "datagram",
        "program",
        "command",
        "asgi",
        "wsgi",
    ]
)
#: Numbers of the states in the header.
SERVER_STATES: Final = ("", "starting", "running", "stopping", "reloading", "stopped")


@dataclass(frozen=True, slots=True)
class Counters:
    """What a worker has done: connections taken, units finished, units that raised."""

    accepted: int = 0
    handled: int = 0
    failed: int = 0


class Scoreboard:
    """A mapped scoreboard.  ``header[...]`` and ``record(slot)[...]`` are signed 64-bit words."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._view = memoryview(memory)
        self.header = self._view[:HEADER_SIZE].cast("q")
        self.clock = self._view[:HEADER_SIZE].cast("d")  #: the same words as seconds

    @classmethod
    def create(cls, fd: int) -> "Scoreboard":
        """Give the empty file ``fd`` the scoreboard's size and map it."""
        os.ftruncate(fd, SIZE)
        board = cls(mmap.mmap(fd, SIZE))
        board.header[H_MAGIC] = MAGIC
        return board

    @classmethod
    def open(cls, fd: int, *, writable: bool = False) -> "Scoreboard":
        """Map the scoreboard in the file ``fd``.

        Raises ProtocolError when the file is none, or is of another version of prefork.
        """
        if os.fstat(fd).st_size != SIZE:
            raise ProtocolError("the file is not a scoreboard of this version of prefork")
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        board = cls(mmap.mmap(fd, SIZE, access=access))
        if board.header[H_MAGIC] != MAGIC:
            raise ProtocolError("the file is not a scoreboard of this version of prefork")
        return board

    @property
    def text(self) -> bytes:
        """What never changes in a server's life: its name and its listeners, as JSON."""
        return bytes(self._view[HEADER_SIZE : HEADER_SIZE + self.header[H_TEXT_LENGTH]])

    @text.setter
    def text(self, value: bytes) -> None:
        if len(value) > TEXT_SIZE:
            raise ProtocolError(f"{len(value)} bytes of names and addresses; {TEXT_SIZE} fit")
        self._view[HEADER_SIZE : HEADER_SIZE + len(value)] = value
        self.header[H_TEXT_LENGTH] = len(value)

    def record(self, slot: int) -> "Record":
        """Return the arbiter's words about ``slot``."""
        start = RECORDS_AT + slot * RECORD_SIZE
        return Record(self._view[start : start + RECORD_SIZE])

    def row(self, slot: int) -> "Row":
        """Return the worker's words of ``slot``."""
        start = ROWS_AT + slot * ROW_SIZE
        return Row(self._view[start : start + ROW_SIZE])

    def column(self, word: int) -> "memoryview[int]":
        """Return one word of all rows, by slot."""
        return self._view[ROWS_AT:].cast("q")[word :: ROW_SIZE // 8]

    def clock_column(self, word: int) -> "memoryview[float]":
        """Return one word of all rows, by slot, as seconds."""
        return self._view[ROWS_AT:].cast("d")[word :: ROW_SIZE // 8]

    def record_column(self, word: int) -> "memoryview[int]":
        """Return one word of all records, by slot."""
        records = self._view[RECORDS_AT:ROWS_AT].cast("q")
        return records[word :: RECORD_SIZE // 8]

    def counted(self, slot: int) -> Counters:
        """Return what the present worker of ``slot`` has counted in its own life."""
        words, base = self.row(slot).words, self.record(slot).words
        return Counters(
            words[W_ACCEPTED] - base[R_ACCEPTED],
            words[W_HANDLED] - base[R_HANDLED],
            words[W_FAILED] - base[R_FAILED],
        )

    def totals(self) -> Counters:
        """Return what all workers, living and dead, have counted."""
        rows = [self.row(slot).words for slot in range(self.header[H_USED])]
        return Counters(
            sum(words[W_ACCEPTED] for words in rows),
            sum(words[W_HANDLED] for words in rows),
            sum(words[W_FAILED] for words in rows),
        )


class Record:
    """The arbiter's words about a slot: who is there, since when, in what state."""

    __slots__ = ("clock", "words")

    def __init__(self, view: memoryview) -> None:
        self.words = view.cast("q")
        self.clock = view.cast("d")  #: the same words as seconds

    def prepare(self, generation: int, started: float, row: "Row") -> None:
        """Enter a worker to come, whose counters go on from where the slot's row stands."""
        row.vacate()
        self.words[R_ACCEPTED] = row.words[W_ACCEPTED]
        self.words[R_HANDLED] = row.words[W_HANDLED]
        self.words[R_FAILED] = row.words[W_FAILED]
        self.words[R_PID] = 0
        self.words[R_GENERATION] = generation
        self.clock[R_STARTED] = started


class Row:
    """A worker's own words: its counters, and what it holds right now."""

    __slots__ = ("_peer", "clock", "words")

    def __init__(self, view: memoryview) -> None:
        self.words = view.cast("q")
        self.clock = view.cast("d")  #: the same words as seconds
        self._peer = view[PEER_AT:]

    @property
    def peer(self) -> str:
        """The client of the connection taken last, as text."""
        return bytes(self._peer).partition(b"\0")[0].decode("utf-8", "replace")

    @peer.setter
    def peer(self, value: str) -> None:
        self._peer[:] = value.encode("utf-8", "replace")[: PEER_SIZE - 1].ljust(PEER_SIZE, b"\0")

    def vacate(self) -> None:
        """Clear what the slot's former worker held when it died; its counters stay."""
        self.words[W_ACTIVE] = 0
        self.words[W_LEAVING] = 0
        self.clock[W_BUSY_SINCE] = 0.0
        self.clock[W_TURN_SINCE] = 0.0
        self.clock[W_HELD_SINCE] = 0.0
        self.peer = ""
