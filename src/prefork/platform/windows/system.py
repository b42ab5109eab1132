"""What Windows is asked for apart from children: a mutex, other processes."""

import ctypes
from ctypes import wintypes
from typing import Final

from prefork.platform.windows.api import Handle, Mutex, Waits, checked, function

_SYNCHRONIZE: Final = 0x100000
_QUERY_LIMITED: Final = 0x1000  # PROCESS_QUERY_LIMITED_INFORMATION
_ERROR_ACCESS_DENIED: Final = 5

_OpenProcess = function(
    "OpenProcess", wintypes.HANDLE, wintypes.DWORD, wintypes.BOOL, wintypes.DWORD
)


class _MemoryCounters(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS."""

    _fields_ = (
        ("size", wintypes.DWORD),
        ("faults", wintypes.DWORD),
        ("peak_working_set", ctypes.c_size_t),
        ("working_set", ctypes.c_size_t),
        ("others", ctypes.c_size_t * 6),
    )


_GetMemory = function(
    *("K32GetProcessMemoryInfo", wintypes.BOOL),
    *(wintypes.HANDLE, ctypes.POINTER(_MemoryCounters), wintypes.DWORD),
)


def opened_process(pid: int, access: int = _SYNCHRONIZE) -> Handle:
    """Return a handle on ``pid``, as a rule to wait for its end; raises OSError."""
    return Handle(checked(_OpenProcess(access, False, pid)))


def resident_memory(pid: int) -> int | None:
    """Return the bytes of memory that ``pid`` uses at present; None if that may not be read."""
    counters = _MemoryCounters(size=ctypes.sizeof(_MemoryCounters))
    try:
        with opened_process(pid, _QUERY_LIMITED) as process:
            checked(_GetMemory(process.value, ctypes.byref(counters), counters.size))
    except OSError:
        return None
    return int(counters.working_set)


def is_running(pid: int) -> bool:
    """Return whether there is a process ``pid``."""
    try:
        with opened_process(pid) as process:
            return Waits([process.value]).wait(0) is None
    except OSError:
        return ctypes.get_last_error() == _ERROR_ACCESS_DENIED


def accept_mutex(name: str | None) -> tuple[int, bool]:
    """Return the handle of the pool's accept mutex, which lives as long as this process.

    Programs that are not ours can open it by ``name``; without one only the pool has it.
    Also returns whether another process had made it before.
    """
    mutex = Mutex.create(name)
    return mutex.value, mutex.existed


def raise_descriptor_limit() -> int:
    """Do nothing: there is no such limit here."""
    return 0
