"""Which files a program's name can mean, as execvp(3) looks for them."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

BATCH_ENDINGS: Final = ()


def candidates(program: str, environ: Mapping[str, str], directory: Path) -> Iterator[Path]:
    """Yield the files that ``program`` may mean, the one that the system takes first."""
    places = [""] if "/" in program else os.get_exec_path(environ)
    for place in places:
        path = directory / place / program
        if path.is_file() and os.access(path, os.X_OK):
            yield path


def reason_missing(program: str, directory: Path) -> str:
    """Return why there is none, the end of a sentence."""
    path = directory / program
    if "/" not in program:
        return "it is in no directory of PATH"
    if path.is_dir():
        return "it is a directory"
    return "it is not executable" if path.exists() else f"there is no file {path}"
