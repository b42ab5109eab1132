"""Which files a program's name can mean, as Windows looks for them."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Final

#: What the system itself starts; other endings of PATHEXT are those of files for programs.
_RUN: Final = (".com", ".exe")
#: It would start them, but with arguments that mean something else to cmd.exe.
BATCH_ENDINGS: Final = (".bat", ".cmd")


def _has_place(program: str) -> bool:
    return PurePath(program).name != program


def candidates(program: str, environ: Mapping[str, str], directory: Path) -> Iterator[Path]:
    """Yield the files that ``program`` may mean, the one that the system takes first."""
    places = [""]
    if not _has_place(program):
        # The current directory comes first, as for cmd.exe and for CreateProcess.
        listed = environ.get("PATH", "").split(os.pathsep)
        places += [place.strip('"') for place in listed if place]
    endings = environ.get("PATHEXT", "").lower().split(os.pathsep)
    usual = [ending for ending in endings if ending in (*_RUN, *BATCH_ENDINGS)] or list(_RUN)
    if PurePath(program).suffix.lower() in (*_RUN, *BATCH_ENDINGS):
        names = [program]
    else:
        names = [*(program + ending for ending in usual), program]
    for place in places:
        for name in names:
            path = directory / place / name
            if path.is_file():
                yield path


def reason_missing(program: str, directory: Path) -> str:
    """Return why there is none, the end of a sentence."""
    path = directory / program
    if _has_place(program):
        return "it is a directory" if path.is_dir() else f"there is no file {path}"
    return f"it is neither in {directory} nor in a directory of PATH"
