"""How many CPUs this process may use: affinity, and the CPU quota of its cgroups."""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def available_cpus() -> int:
    """Return how many CPUs affinity and cgroup leave to this process, at least 1."""
    affine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return limited_by_quota(affine or 1, Path("/"))


def limited_by_quota(cpus: int, root: Path) -> int:
    """Return ``cpus``, or less if a cgroup's quota is below; a part of a CPU counts as one.

    ``root`` holds ``proc`` and ``sys``.  A quota binds all cgroups below it, so those of the
    parents count too: https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
    """
    return max(1, min([cpus, *(math.ceil(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            yield from _unified(root / "sys/fs/cgroup", path)
        elif "cpu" in controllers.split(","):
            for mount in dict.fromkeys((controllers, "cpu")):
                yield from _legacy(root / "sys/fs/cgroup" / mount, path)


def _unified(mount: Path, path: str) -> Iterator[float]:
    for directory in _upwards(mount, path):
        quota, _, period = _text(directory / "cpu.max").strip().partition(" ")
        if quota.isdigit() and period.isdigit() and int(period):
            yield int(quota) / int(period)


def _legacy(mount: Path, path: str) -> Iterator[float]:
    for directory in _upwards(mount, path):
        quota = _text(directory / "cpu.cfs_quota_us").strip()  # -1 is none
        period = _text(directory / "cpu.cfs_period_us").strip()
        if quota.isdigit() and period.isdigit() and int(period):
            yield int(quota) / int(period)


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    # In a container the path may be the host's, of which only the mount itself is to be seen.
    inside = PurePosixPath(*(part for part in path.split("/") if part and part != ".."))
    for directory in (inside, *inside.parents):
        yield mount / directory


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
