"""Finding the file of a program as the system at hand does, before it is started."""

from collections.abc import Mapping
from pathlib import Path

from prefork.errors import HandlerError
from prefork.platform.system import BATCH_ENDINGS, candidates, reason_missing


def find_program(program: str, environ: Mapping[str, str], directory: Path) -> Path:
    """Return the file of ``program`` as a process in ``directory`` with ``environ`` would find it.

    Raises HandlerError when there is none, or none that can be run.
    """
    found = next(candidates(program, environ, directory), None)
    if found is None:
        raise HandlerError(f"{program} cannot be run: {reason_missing(program, directory)}")
    if found.suffix.lower() in BATCH_ENDINGS:
        raise HandlerError(
            f"{program} cannot be run: it is a batch file, which the system leaves to cmd.exe; "
            f"say so, as in cmd.exe /d /c {program}"
        )
    return found
