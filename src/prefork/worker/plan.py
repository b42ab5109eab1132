"""What the arbiter tells a child at its start, beside the descriptors it inherits."""

import os

import msgspec

from prefork.settings import Settings


class Plan(msgspec.Struct, frozen=True):
    """Everything that is the same for all children of a generation."""

    settings: Settings
    accept: str  #: ``blocking``, ``exclusive`` or ``mutex``; ``auto`` is resolved
    listeners: tuple[int, ...]  #: descriptors
    scoreboard: int  #: descriptor
    mutex: int | None  #: descriptor of the accept mutex's file
    arbiter: int  #: process id
    generation: int
    screened: bool  #: at a stop, connections may have to be opened by who accepts; see ``doors``
    descriptors: int  #: the soft limit of open files that the user has set


def read_plan(fd: int) -> Plan:
    """Return the plan in the memory file ``fd``, which is left open and unmoved."""
    return msgspec.json.decode(os.pread(fd, os.fstat(fd).st_size, 0), type=Plan)
