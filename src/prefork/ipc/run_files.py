"""Where a running server can be found: the files it keeps while it lives."""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prefork.errors import ProtocolError
from prefork.ipc.scoreboard import SIZE, Scoreboard
from prefork.platform.system import is_byte_locked, is_private, lock_byte
from prefork.platform.system import private_directories as directories

__all__ = ["directories", "is_private"]

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


def hold(fd: int) -> None:
    """Mark the scoreboard ``fd`` as that of a living server, as long as this process lives."""
    lock_byte(fd, SIZE)  # the one behind its end


def is_held(fd: int) -> bool:
    """Return whether the process that called ``hold`` for this file lives."""
    return is_byte_locked(fd, SIZE)


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
