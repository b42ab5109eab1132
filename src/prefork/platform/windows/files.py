"""Files without a name that processes share by their handles (Windows)."""

import mmap
import msvcrt
import os
import tempfile
from pathlib import Path


def handle_of(fd: int) -> int:
    """Return the handle behind a file's descriptor, which children can inherit."""
    return msvcrt.get_osfhandle(fd)


def memory_file(name: str, *, append: bool = False) -> int:
    """Return the descriptor of an empty file that is in nobody's way, and goes with its users."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_BINARY | os.O_NOINHERIT
    flags |= os.O_TEMPORARY | os.O_SHORT_LIVED | (os.O_APPEND if append else 0)
    place = Path(tempfile.gettempdir())
    return os.open(place / f"prefork-{name}-{os.urandom(8).hex()}", flags, 0o600)


def adopted_file(handle: int, *, append: bool = False) -> int:
    """Return a descriptor for the file behind the inherited ``handle``, which it takes over."""
    os.set_handle_inheritable(handle, False)  # the user's code may start programs
    return msvcrt.open_osfhandle(handle, os.O_RDWR | (os.O_APPEND if append else 0))


def content_of(fd: int) -> bytes:
    """Return all that is in the file ``fd``, whose position stays where it is for everybody."""
    if not os.fstat(fd).st_size:
        return b""
    with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as content:
        return content[:]
