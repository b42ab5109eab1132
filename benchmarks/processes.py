"""What the kernel tells about processes: /proc (proc(5))."""

import os
from collections.abc import Iterator
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")

_PROC = Path("/proc")


def tree(root: int) -> list[int]:
    """Return ``root`` and all its living descendants."""
    parents = {pid: int(fields[1]) for pid, fields in _all_stats()}
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def tree_cpu(root: int) -> float:
    """Return the CPU seconds, user and system, of a process tree and its reaped children.

    Of the living to the nanosecond; ``stat`` has the same sum in ticks of 10 ms, and is all
    there is for the dead.
    """
    stats = dict(_all_stats())
    processes = [pid for pid in tree(root) if pid in stats]
    reaped = sum(int(field) for pid in processes for field in stats[pid][13:15]) / TICKS
    return reaped + sum(own_cpu(pid) for pid in processes)


def own_cpu(pid: int) -> float:
    """Return the CPU seconds of the living threads of ``pid``."""
    tasks = (_PROC / str(pid) / "task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def facts(pid: int) -> dict[str, int]:
    """Return the number of ``threads`` and of ``voluntary`` context switches of ``pid``."""
    lines = (_PROC / str(pid) / "status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    return {
        "threads": int(status["Threads"]),
        "voluntary": int(status["voluntary_ctxt_switches"]),
    }


def proportional_memory(pid: int) -> int:
    """Return the bytes of ``pid``, each page divided by the number of those that map it (PSS)."""
    lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def lock_holders(kind: str) -> set[int]:
    """Return the processes that hold a lock of ``kind``: FLOCK or POSIX."""
    lines = [line.split() for line in (_PROC / "locks").read_text().splitlines()]
    # "1: FLOCK ADVISORY WRITE 123 ..." holds; "1: -> FLOCK ..." waits.
    return {int(fields[4]) for fields in lines if fields[1] == kind}


def _all_stats() -> Iterator[tuple[int, list[str]]]:
    """Yield each process with the fields of its ``stat`` that follow the command."""
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has just ended
