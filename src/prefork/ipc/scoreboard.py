"""The scoreboard: rows of counters in memory that all processes share, one writer per row.

A file-backed mapping: the header and a *record* for each slot are written by the arbiter only,
a *row* for each slot by that slot's worker only, and anybody may read, also while the arbiter is
stopped.  Each number is one aligned word that means something alone; a reader never needs two
that agree.  After Apache's scoreboard file (httpd, ``include/scoreboard.h``).

Counters belong to the slot, not to the process: a successor counts on from where the dead
worker ended, and the record keeps where it began.  So the totals are sums over the slots, and no
death, however sudden, loses a count.
"""

import mmap
import os
from typing import Final

import msgspec

from prefork.errors import ProtocolError
from prefork.ipc.fields import WORD, Choice, Field, Moment, Number
from prefork.ipc.layout import MAGIC, SLOTS, Header, Record, Row

# In bytes.
DESCRIPTION_SIZE: Final = 16 * 1024 - Header.size
SLOTS_AT: Final = Header.size + DESCRIPTION_SIZE
#: Record and row of a slot stand together, so that a small pool touches few pages.
SLOT_SIZE: Final = Record.size + Row.size
SIZE: Final = SLOTS_AT + SLOTS * SLOT_SIZE


class ListenerDescription(msgspec.Struct, frozen=True):
    """An address that is served."""

    address: str
    inode: int  #: of the socket, by which the system names its queue
    backlog: int | None  #: connections that may wait; None for datagrams


class Description(msgspec.Struct, frozen=True):
    """What never changes in a server's life."""

    name: str
    target: str = ""  #: what is served
    control: str | None = None  #: the control socket's address
    listeners: tuple[ListenerDescription, ...] = ()


_descriptions: Final = msgspec.json.Decoder(Description)


class Scoreboard:
    """A mapped scoreboard."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._view = memoryview(memory)
        self.header = Header(self._view[: Header.size])

    @classmethod
    def create(cls, fd: int) -> "Scoreboard":
        """Give the empty file ``fd`` the scoreboard's size and map it."""
        os.ftruncate(fd, SIZE)
        scoreboard = cls(mmap.mmap(fd, SIZE))
        scoreboard.header.magic = MAGIC
        return scoreboard

    @classmethod
    def open(cls, fd: int, *, writable: bool = False) -> "Scoreboard":
        """Map the scoreboard in the file ``fd``.

        Raises ProtocolError when the file is none, or is of another version of prefork.
        """
        if os.fstat(fd).st_size != SIZE:
            raise ProtocolError("the file is not a scoreboard of this version of prefork")
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        scoreboard = cls(mmap.mmap(fd, SIZE, access=access))
        if scoreboard.header.magic != MAGIC:
            raise ProtocolError("the file is not a scoreboard of this version of prefork")
        return scoreboard

    @property
    def description(self) -> Description:
        """What never changes; reading raises ProtocolError while there is none, or no sense."""
        length = min(max(self.header.description_length, 0), DESCRIPTION_SIZE)
        try:
            return _descriptions.decode(self._view[Header.size : Header.size + length])
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ProtocolError(f"the scoreboard does not describe a server: {error}") from error

    @description.setter
    def description(self, value: Description) -> None:
        content = msgspec.json.encode(value)
        if len(content) > DESCRIPTION_SIZE:
            raise ProtocolError(
                f"{len(content)} bytes of names and addresses; {DESCRIPTION_SIZE} fit"
            )
        self._view[Header.size : Header.size + len(content)] = content
        self.header.description_length = len(content)

    @property
    def used_slots(self) -> range:
        """The slots that have had a worker."""
        return range(min(max(self.header.used_slots, 0), SLOTS))

    def record(self, slot: int) -> Record:
        """Return the arbiter's words about ``slot``."""
        start = SLOTS_AT + slot * SLOT_SIZE
        return Record(self._view[start : start + Record.size])

    def row(self, slot: int) -> Row:
        """Return the worker's words of ``slot``."""
        start = SLOTS_AT + slot * SLOT_SIZE + Record.size
        return Row(self._view[start : start + Row.size])

    def column(self, field: Number | Choice) -> "memoryview[int]":
        """Return one field of all rows, or of all records, by slot; of a choice the number."""
        return self._from_first(field).cast("q")[:: SLOT_SIZE // WORD]

    def moments(self, field: Moment) -> "memoryview[float]":
        """Return one moment of all rows, or of all records, by slot."""
        return self._from_first(field).cast("d")[:: SLOT_SIZE // WORD]

    def _from_first(self, field: Field[int] | Field[str] | Field[float]) -> memoryview:
        """Return the memory from the first slot's ``field`` on."""
        area = SLOTS_AT + (Record.size if field.area is Row else 0)
        return self._view[area + field.index * WORD :]
