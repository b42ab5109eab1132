"""Claims the files of this server: its scoreboard, its control socket, its incidents.

None of them is a reason not to start: without a directory of its own, a server serves, logs in
one line what operators will miss, and keeps its scoreboard in memory.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from prefork.ipc import run_files
from prefork.ipc.scoreboard import SIZE
from prefork.logs.log import Log
from prefork.platform.system import (
    HAS_UNIX_SOCKETS,
    IN_USE,
    create_file,
    memory_file,
    remove_file,
)
from prefork.settings import Settings

_MISSING: Final = "status, incidents"


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The files that this server has claimed."""

    settings: Settings  #: with the name by which the server can be found
    scoreboard: int  #: descriptor
    control: str | None  #: address to listen on for operators
    incidents: Path | None  #: directory
    secret: Path | None = (
        None  #: file of the secret that operators have to know, where anybody can connect
    )


@contextlib.contextmanager
def claim_run_files(settings: Settings, log: Log) -> Iterator[RunFiles]:
    """Claim the files of ``settings.name``, as far as possible; remove them at the end."""
    directory = run_files.writable_directory()
    if directory is None:
        tried = ", ".join(str(each) for each in run_files.directories())
        log.warning("no place for the run-time files", tried=tried, missing=_MISSING)
        yield _without_directory(settings)
        return
    settings = _with_free_name(settings, directory, log)
    try:
        try:
            path, fd = _claimed(settings.name, directory)
        except IN_USE:  # by a server just started, or, on Windows, by a reader of a dead one's
            settings = _renamed(settings, None, log)
            path, fd = _claimed(settings.name, directory)
    except OSError as error:
        tried = f"{error.filename or directory}: {error.strerror}"
        log.warning("no place for the run-time files", tried=tried, missing=_MISSING)
        yield _without_directory(settings)
        return
    stem = run_files.file_stem(settings.name)
    control = directory / f"{stem}{run_files.CONTROL}"
    auto = f"unix:{control}" if HAS_UNIX_SOCKETS else "tcp://127.0.0.1:0"
    addresses = {"auto": auto, "off": None}
    try:
        yield RunFiles(
            settings,
            fd,
            addresses.get(settings.control, settings.control),
            directory / f"{stem}{run_files.INCIDENTS}",
            None if HAS_UNIX_SOCKETS else control,
        )
    finally:
        remove_file(path, fd)


def _claimed(name: str, directory: Path) -> tuple[Path, int]:
    """Return the new scoreboard file of the server ``name``, and its descriptor; raises OSError.

    The file system has set aside all of its size.
    """
    path = directory / f"{run_files.file_stem(name)}{run_files.SCOREBOARD}"
    path.unlink(missing_ok=True)  # a dead server's
    fd = create_file(path, SIZE)
    try:
        run_files.hold(fd)
    except OSError:
        os.close(fd)
        path.unlink()
        raise
    return path, fd


def _without_directory(settings: Settings) -> RunFiles:
    control = None if settings.control in ("auto", "off") else settings.control
    return RunFiles(settings, memory_file("scoreboard"), control, None)


def _with_free_name(settings: Settings, directory: Path, log: Log) -> Settings:
    """Return ``settings`` with a name that no living server of this user has."""
    path = directory / f"{run_files.file_stem(settings.name)}{run_files.SCOREBOARD}"
    other = run_files.server_of(path)
    return settings if other is None else _renamed(settings, other.pid, log)


def _renamed(settings: Settings, by: int | None, log: Log) -> Settings:
    free = f"{settings.name}-{os.getpid()}"
    log.warning("name is taken", name=settings.name, by=by, instead=free)
    return replace(settings, name=free)
