"""Programs of other people as workers: how each is started, asked and hung."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "exec"


def found(program: str) -> str:
    """Return where ``program`` is; a machine without it cannot run the test, and says so."""
    path = shutil.which(program, path=f"{Path(sys.executable).parent}:/usr/bin:/bin:/usr/local/bin")
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


def compiled(directory: Path) -> str:
    """Return the C example, compiled into ``directory``."""
    program = directory / "server"
    source = str(EXAMPLES / "server.c")
    subprocess.run([found("cc"), "-O2", "-Wall", "-Werror", "-o", str(program), source], check=True)
    return str(program)


def descendants(pid: int) -> set[int]:
    """Return the processes below ``pid``."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found_ones: set[int] = set()
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found_ones.update(below)
        waiting += below
    return found_ones
