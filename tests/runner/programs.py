"""Installs the programs that tests talk to, where that is possible."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from runner.attempts import attempt

if TYPE_CHECKING:
    from runner.report import Report

#: What tests talk to or serve, a program or a file, and Debian's package of it.
_PACKAGES = {
    "redis-cli": "redis-tools",
    "redis-benchmark": "redis-tools",
    "swaks": "swaks",
    "dig": "bind9-dnsutils",
    "node": "nodejs",
    "perl": "perl",
    "openssl": "openssl",
    "cc": "gcc",
    "/usr/include/stdio.h": "libc6-dev",
}


def install(report: Report) -> None:
    """Install what the tests need besides Python, where that is possible; note what is missing."""
    absent = _missing()
    if not absent:
        return
    problem: str | None = "only root on Debian can have them installed"
    if can_apt_get():
        packages = sorted({_PACKAGES[name] for name in absent})
        print("installing " + " ".join(packages) + " ...", flush=True)
        problem = apt_get(*packages)
    absent = _missing()
    if absent:
        names = ", ".join(f"{name} (package {_PACKAGES[name]})" for name in absent)
        report.missing.append(f"what needs {names}: {problem or 'not in these packages'}")


def _missing() -> list[str]:
    """Return those of _PACKAGES that are not here."""
    return [name for name in _PACKAGES if not (shutil.which(name) or Path(name).is_file())]


def can_apt_get() -> bool:
    """Tell whether packages can be installed."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def apt_get(*packages: str) -> str | None:
    """Install Debian's ``packages``; return what is in the way, if anything."""
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    command = ["apt-get", "-qq", "-y", "-o", "DPkg::Lock::Timeout=60"]
    install = [*command, "install", "--no-install-recommends"]
    # A new machine has no lists of packages; one without a network may have the packages.
    attempt([*command, "update"], environment, limit=120)
    # What is cut short by its limit is the download, not the installation.
    problem = attempt([*install, "--download-only", *packages], environment, limit=300)
    return problem or attempt([*install, *packages], environment, limit=600)
