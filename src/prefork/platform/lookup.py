"""Finding the file of a program as the system at hand does, before it is started."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Final

from prefork.errors import HandlerError


def find_program(program: str, environ: Mapping[str, str], directory: Path) -> Path:
    """Return the file of ``program`` as a process in ``directory`` with ``environ`` would find it.

    Raises HandlerError when there is none, or none that can be run.
    """
    found = next(_found(program, environ, directory), None)
    if found is None:
        raise HandlerError(f"{program} cannot be run: {_missing(program, directory)}")
    if found.suffix.lower() in _BATCHES:
        raise HandlerError(
            f"{program} cannot be run: it is a batch file, which the system leaves to cmd.exe; "
            f"say so, as in cmd.exe /d /c {program}"
        )
    return found


if sys.platform == "win32":
    #: What the system itself starts; other endings of PATHEXT are those of files for programs.
    _RUN: Final = (".com", ".exe")
    #: It would start them, but with arguments that mean something else to cmd.exe.
    _BATCHES: Final = (".bat", ".cmd")

    def _has_place(program: str) -> bool:
        return PurePath(program).name != program

    def _found(program: str, environ: Mapping[str, str], directory: Path) -> Iterator[Path]:
        places = [""]
        if not _has_place(program):
            # The current directory comes first, as for cmd.exe and for CreateProcess.
            listed = environ.get("PATH", "").split(os.pathsep)
            places += [place.strip('"') for place in listed if place]
        endings = environ.get("PATHEXT", "").lower().split(os.pathsep)
        usual = [ending for ending in endings if ending in (*_RUN, *_BATCHES)] or list(_RUN)
        if PurePath(program).suffix.lower() in (*_RUN, *_BATCHES):
            names = [program]
        else:
            names = [*(program + ending for ending in usual), program]
        for place in places:
            for name in names:
                path = directory / place / name
                if path.is_file():
                    yield path

    def _missing(program: str, directory: Path) -> str:
        path = directory / program
        if _has_place(program):
            return "it is a directory" if path.is_dir() else f"there is no file {path}"
        return f"it is neither in {directory} nor in a directory of PATH"
else:
    _BATCHES: Final = ()

    def _found(program: str, environ: Mapping[str, str], directory: Path) -> Iterator[Path]:
        places = [""] if "/" in program else os.get_exec_path(environ)
        for place in places:
            path = directory / place / program
            if path.is_file() and os.access(path, os.X_OK):
                yield path

    def _missing(program: str, directory: Path) -> str:
        path = directory / program
        if "/" not in program:
            return "it is in no directory of PATH"
        if path.is_dir():
            return "it is a directory"
        return "it is not executable" if path.exists() else f"there is no file {path}"
