"""Files without a name that processes share by their handles (Windows)."""

import atexit
import contextlib
import gc
import mmap
import msvcrt
import os
import stat
import tempfile
from pathlib import Path
from typing import Final


def handle_of(fd: int) -> int:
    """Return the handle behind a file's descriptor, which children can inherit."""
    return msvcrt.get_osfhandle(fd)


def memory_file(name: str, *, append: bool = False) -> int:
    """Return the descriptor of an empty file, which is removed with its last handle."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_BINARY | os.O_NOINHERIT
    flags |= os.O_TEMPORARY | os.O_SHORT_LIVED | (os.O_APPEND if append else 0)
    place = Path(tempfile.gettempdir())
    return os.open(place / f"prefork-{name}-{os.urandom(8).hex()}", flags, 0o600)


def adopted_file(handle: int, *, append: bool = False) -> int:
    """Return a descriptor for the file behind the inherited ``handle``, which it takes over."""
    os.set_handle_inheritable(handle, False)  # the user's code may start programs
    return msvcrt.open_osfhandle(handle, os.O_RDWR | (os.O_APPEND if append else 0))


def content_of(fd: int) -> bytes:
    """Return all that is in the file ``fd``, without a change of its position, which is shared."""
    if not os.fstat(fd).st_size:
        return b""
    with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as content:
        return content[:]


def private_directories() -> list[Path]:
    """Return where this user's servers may keep their files: in the profile."""
    try:
        home = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    except RuntimeError:  # an environment without any hint
        return []
    return [Path(home) / "prefork"]


def is_private(directory: Path) -> bool:
    """Return whether ``directory`` is one; the profile decides who may use it.  Raises OSError."""
    return stat.S_ISDIR(directory.lstat().st_mode)


def lock_byte(fd: int, position: int) -> None:
    """Lock a byte of the file ``fd`` as long as this process lives; raises OSError.

    It has to lie behind the end of the file: others cannot read a byte that is locked.
    """
    os.lseek(fd, position, os.SEEK_SET)
    msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)


def is_byte_locked(fd: int, position: int) -> bool:
    """Return whether another process has called ``lock_byte`` for this byte, and lives."""
    os.lseek(fd, position, os.SEEK_SET)
    try:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
    except OSError:
        return True
    os.lseek(fd, position, os.SEEK_SET)
    msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)
    return False


#: What opening a file of a name that another process has in use raises: also PermissionError, as
#: long as anybody reads a file that was removed.
IN_USE: Final = (FileExistsError, BlockingIOError, PermissionError)

#: Python has none here.
HAS_UNIX_SOCKETS: Final = False


def create_file(path: Path, size: int) -> int:
    """Return the descriptor of a new file with room for ``size`` bytes, which no child inherits.

    Raises OSError.
    """
    del size  # a mapping makes the room
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOINHERIT | os.O_BINARY, 0o600)


def remove_file(path: Path, fd: int) -> None:
    """Remove the file that ``create_file`` has made, at the end of this process.

    Windows does not as long as anybody has it open or mapped.
    """
    atexit.register(_remove_unmapped, path, fd)


def _remove_unmapped(path: Path, fd: int) -> None:
    gc.collect()  # our own views of it
    os.close(fd)
    with contextlib.suppress(OSError):  # being read: then the next server removes it
        path.unlink()
