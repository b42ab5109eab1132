"""Looking at processes from outside."""

import os
import signal
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def is_alive(pid: int) -> bool:
    """Tell whether ``pid`` runs; a zombie does not."""
    return state_of(pid) not in ("", "Z", "X")


def state_of(pid: int) -> str:
    """Return the kernel's letter for what ``pid`` is doing; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def children_of(pid: int) -> list[int]:
    """Return the children of ``pid``, zombies too."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def cpu_seconds(pid: int) -> float:
    """Return the processor time that ``pid`` has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def status_field(pid: int, name: str) -> str:
    """Return a line of ``/proc/PID/status``."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    raise KeyError(name)


def title_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()


def open_files(pid: int) -> set[str]:
    """Return what the descriptors of ``pid`` lead to."""
    return {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()}  # noqa: PTH115


def kill_if_ours(pid: int) -> None:
    """End ``pid`` if it still is a process of prefork."""
    try:
        if "prefork" in title_of(pid):
            os.kill(pid, signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        pass


def open_to_others(path: str) -> bool:
    """Tell whether any user may run what is at ``path``, wherever it leads to."""
    real = Path(path).resolve()
    return all(directory.stat().st_mode & 0o005 == 0o005 for directory in (real, *real.parents))
