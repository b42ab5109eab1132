"""What the arbiter gives a child at its start, beside the descriptors it inherits."""

import mmap
from typing import Final

import msgspec

from prefork.settings import Settings


class Plan(msgspec.Struct, frozen=True):
    """Everything that is the same for all children of a generation."""

    settings: Settings
    #: ``blocking``, ``exclusive`` or ``mutex``, with ``auto`` resolved; ``program`` for programs
    accept: str
    # What children inherit: descriptors; on Windows handles.
    listeners: tuple[int, ...]
    adopted: tuple[int, ...]  #: those listeners that stay open in another process after our end
    scoreboard: int  #: its file
    mutex: int | None  #: the accept mutex: a file to lock; on Windows one of its own kind
    arbiter: int  #: process id
    generation: int
    #: connections may need their hop limit reset when accepted; see ``sockets.quiesce``
    screened: bool
    descriptors: int  #: the soft limit of open files that the user has set


#: Made once: a mold that is forked from the command line has it by then.
_DECODER: Final = msgspec.json.Decoder(Plan)


def read_plan(fd: int) -> Plan:
    """Return the plan in the memory file ``fd``, which is left open and unmoved."""
    with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as content:
        return _DECODER.decode(content[:])
