"""Makes a virtual environment for each Python, as the lock says."""

from __future__ import annotations

import fcntl
import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runner import LOCK, PROJECT, ROOT, interpreters, programs
from runner.attempts import attempt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.interpreters import Python
    from runner.report import Report

_PIP = "-m pip --disable-pip-version-check --no-input -q".split()


def prepare(python: Python, report: Report) -> bool:
    """Make the environment of ``python`` unless it is as the lock says; tell whether it is."""
    with _alone(python):
        stamp = python.environment / "stamp"
        wanted = _fingerprint(python)
        if stamp.exists() and stamp.read_text() == wanted:
            return True
        print(f"making the environment of {python.name} ({python.full}) ...", flush=True)
        problem = _create(python) or _install(python)
        if problem is None:
            stamp.write_text(wanted)
            return True
    report.missing.append(f"{python.name}: {problem}")
    if python.version in interpreters.promised():
        report.failed.append("the environment of " + python.name)
    return False


def _fingerprint(python: Python) -> str:
    """Return what changes whenever the environment must be made anew."""
    content = LOCK.read_bytes() + PROJECT.read_bytes()
    return f"{python.full} {ROOT} {hashlib.sha256(content).hexdigest()}\n"


@contextmanager
def _alone(python: Python) -> Iterator[None]:
    """Keep other runs in this checkout from making the same environment."""
    python.environment.parent.mkdir(exist_ok=True)
    with open(f"{python.environment}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _create(python: Python) -> str | None:
    """Make a virtual environment; return what is in the way, if anything."""
    command = [python.executable, "-m", "venv", "--clear", str(python.environment)]
    if attempt(command) is None:
        return None
    # Debian keeps ensurepip in a package of its own.
    package = "python{}.{}-venv".format(*python.version)
    if programs.can_apt_get():
        programs.apt_get(package)
    problem = attempt(command)
    return problem and f"cannot make a virtual environment (install {package}): {problem}"


def _install(python: Python) -> str | None:
    """Install the lock and the project; return what is in the way, if anything."""
    pip = [python.tool("python"), *_PIP]
    # Nothing beside the lock: it is complete, which `pip check` and a test confirm.
    # What is imported is compiled then; compiling everything takes longer than installing it.
    locked = [*pip, "install", "--no-compile", "--no-deps", "-r", str(LOCK)]
    project = [*pip, "install", "--no-deps", "--no-build-isolation", "-e", str(ROOT)]
    return attempt(locked) or attempt(project) or attempt([*pip, "check"])
