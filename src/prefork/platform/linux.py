"""What only Linux has: prctl, /proc, cgroups.  Elsewhere these return nothing."""

import contextlib
import ctypes
import mmap
import os
from pathlib import Path
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36

#: Threads of a process that are looked at: enough to see what it does, and soon done.
MOST_THREADS: Final = 100

#: None on other systems.  Loaded once: each worker inherits it from its mold.
_PRCTL: Final = getattr(ctypes.CDLL(None), "prctl", None)


def signal_on_parents_death(signum: int) -> None:
    """Have the kernel send us ``signum`` when our parent dies (prctl(2), PR_SET_PDEATHSIG).

    It stays set when a subreaper takes our dead parent's place, and comes again with that one's
    death.  A change of user clears it.
    """
    _prctl(PR_SET_PDEATHSIG, signum)


def become_subreaper() -> None:
    """Become the parent of descendants whose own parents exit (PR_SET_CHILD_SUBREAPER)."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    if _PRCTL is not None:
        _PRCTL(option, value, 0, 0, 0)


def thread_count() -> int:
    """Return how many threads this process has; those of C libraries count too."""
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 (as cheap as it gets)
    except OSError:
        return 1


def kernel_state(pid: int) -> dict[str, str]:
    """Return what the process ``pid`` is doing: its state, wait channel and system call.

    Also works for a process that is stuck.  A fact that may not be read is left out.
    """
    return _kernel_state(f"/proc/{pid}")


def thread_states(pid: int) -> list[dict[str, str]]:
    """Return the same of each thread of ``pid``, of the first hundred if it has more."""
    try:
        tids = sorted(map(int, os.listdir(f"/proc/{pid}/task")))  # noqa: PTH208
    except OSError:
        return []
    threads = []
    for tid in tids[:MOST_THREADS]:
        known = {"tid": str(tid)}
        with contextlib.suppress(OSError):
            name = Path(f"/proc/{pid}/task/{tid}/comm").read_bytes()
            known["comm"] = name.decode("utf-8", "replace").strip()
        threads.append(known | _kernel_state(f"/proc/{pid}/task/{tid}"))
    return threads


def _kernel_state(place: str) -> dict[str, str]:
    known: dict[str, str] = {}
    for name in ("wchan", "syscall", "stack"):
        with contextlib.suppress(OSError, UnicodeError):
            known[name] = Path(f"{place}/{name}").read_text().strip()
    with contextlib.suppress(OSError, IndexError):
        # The command, in parentheses, may hold anything; the state follows the last one.
        stat = Path(f"{place}/stat").read_text(errors="replace")
        known["state"] = stat.rpartition(")")[2].split()[0]
    return known


def resident_memory(pid: int) -> int | None:
    """Return the bytes of memory that ``pid`` uses at present; None if that may not be read."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
        return int(pages) * mmap.PAGESIZE
    return None


class OutOfMemoryKills:
    """Knows whether the kernel killed something in our cgroup for want of memory.

    The counter is ``oom_kill`` of memory.events (cgroup v2) or memory.oom_control (v1).
    """

    def __init__(self, proc: Path = Path("/proc/self"), root: Path = Path("/sys/fs/cgroup")):
        self._file = _memory_events(proc, root)
        self._seen = self._count()

    def happened(self) -> bool:
        """Return whether there was a kill that was not reported yet; each call reports one."""
        if self._count() <= self._seen:
            return False
        self._seen += 1
        return True

    def _count(self) -> int:
        if self._file is not None:
            with contextlib.suppress(OSError, ValueError):
                for line in self._file.read_text().splitlines():
                    name, _, value = line.partition(" ")
                    if name == "oom_kill":
                        return int(value)
        return 0


def _memory_events(proc: Path, root: Path) -> Path | None:
    try:
        lines = (proc / "cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            candidates = [root / "memory" / path.lstrip("/") / "memory.oom_control"]
        elif controllers == "":
            candidates = [
                root / path.lstrip("/") / "memory.events",
                root / "unified" / path.lstrip("/") / "memory.events",
            ]
        else:
            continue
        for candidate in candidates:
            if candidate.is_file():
                return candidate
    return None
