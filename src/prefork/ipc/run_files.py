"""Where a running server can be found: the files it keeps while it lives."""

import contextlib
import os
import re
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prefork.errors import ProtocolError
from prefork.ipc.scoreboard import SIZE, Scoreboard

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_DEVICE: Final = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9])(\.|$)", re.IGNORECASE)

SCOREBOARD = ".scoreboard"
CONTROL = ".control"
INCIDENTS = ".incidents"


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that runs, as its scoreboard describes it."""

    name: str
    pid: int
    control: str | None  #: an address; None when it could not, or should not, open one
    scoreboard: Path


if sys.platform == "win32":

    def directories() -> list[Path]:
        """Return where a server may keep its files: only the user has access, as to the profile."""
        try:
            home = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        except RuntimeError:  # an environment without any hint
            return []
        return [Path(home) / "prefork"]

    def is_private(directory: Path) -> bool:
        """Return whether ``directory`` is one; the profile decides who may use it."""
        return stat.S_ISDIR(directory.lstat().st_mode)

else:

    def directories() -> list[Path]:
        """Return where a server may keep its files, the best place first."""
        candidates = []
        if runtime := os.environ.get("RUNTIME_DIRECTORY"):  # systemd's RuntimeDirectory=
            candidates.append(Path(runtime.partition(":")[0]))
        if runtime := os.environ.get("XDG_RUNTIME_DIR"):
            candidates.append(Path(runtime) / "prefork")
        if os.geteuid() == 0:
            candidates.append(Path("/run/prefork"))
        # Not tempfile.gettempdir(): where nothing is writable it takes the current directory.
        candidates.append(Path(os.environ.get("TMPDIR") or "/tmp") / f"prefork-{os.geteuid()}")
        return candidates

    def is_private(directory: Path) -> bool:
        """Return whether only this user and root can create or change files in ``directory``."""
        status = directory.lstat()
        mode = stat.S_IMODE(status.st_mode)
        return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not mode & 0o022


def writable_directory() -> Path | None:
    """Return the first directory that is, or can be made, for this user alone, or None."""
    for directory in directories():
        with contextlib.suppress(OSError):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if is_private(directory) and os.access(directory, os.W_OK | os.X_OK):
                return directory
    return None


def file_stem(name: str) -> str:
    """Return the server's name as it may stand in a file's name."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", name) or "_"
    # Windows has devices of these names, in every directory and with any ending.
    return f"_{stem}" if _DEVICE.match(stem) else stem


def running_servers() -> list[RunningServer]:
    """Return the running servers of this user, by name."""
    found: dict[int, RunningServer] = {}
    for directory in directories():
        for server in _servers_in(directory):
            found.setdefault(server.pid, server)
    return sorted(found.values(), key=lambda server: server.name)


def _servers_in(directory: Path) -> Iterator[RunningServer]:
    try:
        if not is_private(directory):
            return
        paths = sorted(directory.glob(f"*{SCOREBOARD}"))
    except OSError:
        return
    for path in paths:
        if (server := server_of(path)) is not None:
            yield server


if sys.platform == "win32":

    def hold(fd: int) -> None:
        """Mark the scoreboard ``fd`` as a running server's, as long as this process lives.

        The byte behind the scoreboard's end is locked: Windows would keep readers from locked ones.
        """
        os.lseek(fd, SIZE, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

    def is_held(fd: int) -> bool:
        """Return whether the process that called ``hold`` for this file still runs."""
        os.lseek(fd, SIZE, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return True
        os.lseek(fd, SIZE, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)
        return False

else:

    def hold(fd: int) -> None:
        """Mark the scoreboard ``fd`` as a running server's, as long as this process lives.

        A record lock belongs to the process: unlike a process id, it cannot become another's, and
        unlike the descriptor, workers that outlive us do not inherit it.
        """
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def is_held(fd: int) -> bool:
        """Return whether the process that called ``hold`` for this file still runs."""
        try:
            fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        fcntl.lockf(fd, fcntl.LOCK_UN)
        return False


def server_of(path: Path) -> RunningServer | None:
    """Return the running server whose scoreboard is ``path``; None if it is dead or is none."""
    try:
        with open(path, "rb") as file:
            scoreboard = Scoreboard.open(file.fileno())
            if not is_held(file.fileno()):
                return None
        pid, description = scoreboard.header.pid, scoreboard.description
    except (OSError, ProtocolError):
        return None
    return RunningServer(description.name, pid, description.control, path)
