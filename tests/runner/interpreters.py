"""Finds the Pythons to test with."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Tuple

from runner import PROJECT, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

LOWEST = (3, 11)

Version = Tuple[int, int]  # an alias is evaluated, also by Python 3.8


class Python(NamedTuple):
    """An interpreter to test with."""

    version: Version
    full: str  # as in 3.12.1
    executable: str

    @property
    def name(self) -> str:
        """What it is called in the report."""
        return "Python {}.{}".format(*self.version)

    @property
    def environment(self) -> Path:
        """The directory of its virtual environment, which may not exist yet."""
        return ROOT / ".venvs" / "py{}.{}".format(*self.version)

    def tool(self, name: str) -> str:
        """Return the path of a program in its environment."""
        return str(self.environment / "bin" / name)


def find() -> list[Python]:
    """Return the interpreters to test with, one for each minor version, lowest first."""
    found: dict[Version, Python] = {}
    for candidate in _candidates():
        python = _probe(candidate)
        if python is not None:
            found.setdefault(python.version, python)
    return sorted(found.values())


def promised() -> set[Version]:
    """Return the versions that pyproject.toml names."""
    found = re.findall(r'"Programming Language :: Python :: (\d+)\.(\d+)"', PROJECT.read_text())
    return {(int(major), int(minor)) for major, minor in found}


def _candidates() -> Iterator[str]:
    """Yield what may be an interpreter: those on the PATH first, then a pyenv's."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = [Path(folder) for folder in os.get_exec_path()]
    folders += sorted(root.glob("versions/*/bin"), reverse=True)
    for folder in folders:
        for path in sorted(folder.glob("python3.*")):
            if re.fullmatch(r"python3\.\d+", path.name) and os.access(path, os.X_OK):
                yield str(path)
    yield sys.executable


def _probe(executable: str) -> Python | None:
    """Return the interpreter ``executable`` if it is one to test with."""
    code = (
        "import platform, sys; i = sys.version_info; "
        "print(sys.implementation.name, i.releaselevel, platform.python_version(), "
        "sys._base_executable)"
    )
    try:
        answer = subprocess.run(
            [executable, "-I", "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=20,
            text=True,
        ).stdout.split()
    except (OSError, subprocess.TimeoutExpired):
        return None
    if len(answer) != 4 or answer[:2] != ["cpython", "final"]:
        return None  # a shim of a version that is not selected, another implementation, a beta
    major, minor = (int(part) for part in answer[2].split(".")[:2])
    return Python((major, minor), answer[2], answer[3]) if (major, minor) >= LOWEST else None
