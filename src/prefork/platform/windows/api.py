"""System calls beyond Python's library: objects to wait for, jobs, the console.

Every handle has an owner that closes it, every refusal is an OSError.  Decides nothing.
"""

import ctypes
from collections.abc import Callable, Sequence
from ctypes import wintypes
from math import ceil
from typing import Any, Final, Self

INFINITE: Final = 0xFFFFFFFF
_WAIT_ABANDONED: Final = 0x80
_WAIT_TIMEOUT: Final = 0x102
_WAIT_FAILED: Final = 0xFFFFFFFF
_ERROR_ALREADY_EXISTS: Final = 183
_ERROR_IO_PENDING: Final = 997
_INVALID_HANDLE: Final = ctypes.c_void_p(-1).value

_WT_EXECUTEONLYONCE: Final = 0x8
_EXTENDED_LIMITS: Final = 9  # JobObjectExtendedLimitInformation
_BREAKAWAY_OK: Final = 0x800
_KILL_ON_JOB_CLOSE: Final = 0x2000
_FILETIME: Final = 1e-7  #: seconds


_kernel: Final = ctypes.WinDLL("kernel32", use_last_error=True)

#: Called by a thread of the system: with the context, and whether the time was up.
WaitCallback: Final = ctypes.WINFUNCTYPE(None, ctypes.c_void_p, wintypes.BOOLEAN)
_ConsoleHandler: Final = ctypes.WINFUNCTYPE(wintypes.BOOL, wintypes.DWORD)


def function(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """Return the function ``name`` of kernel32 with its types."""
    found = getattr(_kernel, name)
    found.restype, found.argtypes = result, arguments
    return found  # type: ignore[no-any-return]


def checked(result: Any) -> Any:
    """Return ``result`` of a system call; raises OSError when it means that the call failed."""
    if not result:
        raise ctypes.WinError(ctypes.get_last_error())
    return result


_HANDLES: Final = ctypes.POINTER(wintypes.HANDLE)
_CloseHandle = function("CloseHandle", wintypes.BOOL, wintypes.HANDLE)
_CreateEvent = function(
    *("CreateEventW", wintypes.HANDLE),
    *(wintypes.LPVOID, wintypes.BOOL, wintypes.BOOL, wintypes.LPCWSTR),
)
_SetEvent = function("SetEvent", wintypes.BOOL, wintypes.HANDLE)
_CreateMutex = function(
    "CreateMutexW", wintypes.HANDLE, wintypes.LPVOID, wintypes.BOOL, wintypes.LPCWSTR
)
_ReleaseMutex = function("ReleaseMutex", wintypes.BOOL, wintypes.HANDLE)
_WaitForMultipleObjects = function(
    *("WaitForMultipleObjects", wintypes.DWORD),
    *(wintypes.DWORD, _HANDLES, wintypes.BOOL, wintypes.DWORD),
)
_RegisterWait = function(
    *("RegisterWaitForSingleObject", wintypes.BOOL, _HANDLES, wintypes.HANDLE),
    *(ctypes.c_void_p, ctypes.c_void_p, wintypes.ULONG, wintypes.ULONG),
)
_UnregisterWait = function("UnregisterWaitEx", wintypes.BOOL, wintypes.HANDLE, wintypes.HANDLE)
_CreateJob = function("CreateJobObjectW", wintypes.HANDLE, wintypes.LPVOID, wintypes.LPCWSTR)
_SetJob = function(
    *("SetInformationJobObject", wintypes.BOOL),
    *(wintypes.HANDLE, ctypes.c_int, wintypes.LPVOID, wintypes.DWORD),
)
_SetConsoleHandler = function(
    "SetConsoleCtrlHandler", wintypes.BOOL, ctypes.c_void_p, wintypes.BOOL
)
_ConsoleEvent = function("GenerateConsoleCtrlEvent", wintypes.BOOL, wintypes.DWORD, wintypes.DWORD)
_GetProcessTimes = function(
    *("GetProcessTimes", wintypes.BOOL, wintypes.HANDLE),
    *[ctypes.POINTER(wintypes.FILETIME)] * 4,
)


class Handle:
    """A handle of ours; anything that Windows can wait for, as a rule."""

    def __init__(self, value: int) -> None:
        """Own ``value``, which was made here or inherited."""
        self.value = value

    def close(self) -> None:
        """Close it."""
        if self.value:
            value, self.value = self.value, 0
            checked(_CloseHandle(value))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Event(Handle):
    """Is set, or not; any process with a handle on it can set it, and then it stays so."""

    @classmethod
    def create(cls, *, resets: bool = False) -> Self:
        """Return a new one, not set; with ``resets`` each wait that it ends resets it."""
        return cls(checked(_CreateEvent(None, not resets, False, None)))

    def set(self) -> None:
        """End the waits for it."""
        checked(_SetEvent(self.value))

    @property
    def is_set(self) -> bool:
        """Whether a wait for it would end at once."""
        return Waits([self.value]).wait(0) == 0


class Mutex(Handle):
    """Belongs to one thread at a time; to none, when its owner dies."""

    def __init__(self, value: int, *, existed: bool = False) -> None:
        super().__init__(value)
        self.existed = existed  #: another process had made it before

    @classmethod
    def create(cls, name: str | None = None) -> Self:
        """Return a new one without an owner, or the existing one of that name."""
        value = checked(_CreateMutex(None, False, name))
        return cls(value, existed=ctypes.get_last_error() == _ERROR_ALREADY_EXISTS)

    def release(self) -> None:
        """Give it up; only the thread that has it may."""
        checked(_ReleaseMutex(self.value))


class Waits:
    """A wait for the first of several objects, made once and used again and again."""

    def __init__(self, handles: Sequence[int]) -> None:
        self._count = len(handles)  # 64 at most
        self._handles = (wintypes.HANDLE * self._count)(*handles)

    def wait(self, limit: float | None = None) -> int | None:
        """Return which one ended the wait, the lowest if there are several; None after ``limit``.

        A mutex whose owner has died ends it like a free one: it is had in either case.  Signals
        do not interrupt it.
        """
        milliseconds = INFINITE if limit is None else min(ceil(limit * 1000), INFINITE - 1)
        found: int = _WaitForMultipleObjects(self._count, self._handles, False, milliseconds)
        if found == _WAIT_FAILED:
            raise ctypes.WinError(ctypes.get_last_error())
        if found == _WAIT_TIMEOUT:
            return None
        return found - _WAIT_ABANDONED if found >= _WAIT_ABANDONED else found


class RegisteredWait:
    """Lets a thread of the system wait for an object, and then call a function.

    There may be any number of them, unlike handles in one wait.
    """

    def __init__(self, handle: int, callback: Any, context: int, *, once: bool = True) -> None:
        """Call ``callback``, a WaitCallback or any other function in C, with ``context``."""
        self._callback = callback
        self._wait = wintypes.HANDLE()
        address = ctypes.cast(callback, ctypes.c_void_p)
        flags = _WT_EXECUTEONLYONCE if once else 0
        wait = ctypes.byref(self._wait)
        checked(_RegisterWait(wait, handle, address, context, INFINITE, flags))

    def close(self) -> None:
        """Return when the function is not called any more; not from within it."""
        # Wine may report "pending" after its wait: the call is over, its thread only notes that.
        if not _UnregisterWait(self._wait, _INVALID_HANDLE):
            error = ctypes.get_last_error()
            if error != _ERROR_IO_PENDING:
                raise ctypes.WinError(error)


class _Limits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = (
        ("process_time", ctypes.c_int64),
        ("job_time", ctypes.c_int64),
        ("flags", wintypes.DWORD),
        ("working_set", ctypes.c_size_t * 2),
        ("processes", wintypes.DWORD),
        ("affinity", ctypes.c_size_t),
        ("classes", wintypes.DWORD * 2),
        ("counters", ctypes.c_uint64 * 6),
        ("memory", ctypes.c_size_t * 4),
    )


class Job(Handle):
    """A set of processes, and of all that they start, which ends with its last handle.

    So nothing outlives us, however we end: the system closes our handles.  Only a process that
    asks for it, by CREATE_BREAKAWAY_FROM_JOB, is started outside.
    """

    @classmethod
    def create(cls) -> Self:
        """Return an empty job."""
        job = cls(checked(_CreateJob(None, None)))
        limits = _Limits(flags=_KILL_ON_JOB_CLOSE | _BREAKAWAY_OK)
        size = ctypes.sizeof(limits)
        checked(_SetJob(job.value, _EXTENDED_LIMITS, ctypes.byref(limits), size))
        return job


class Console:
    """Reports Ctrl-C, Ctrl-Break, and that the window is closed or the system shuts down."""

    C, BREAK, CLOSE, LOGOFF, SHUTDOWN = 0, 1, 2, 5, 6

    def __init__(self, report: Callable[[int], object]) -> None:
        """Call ``report`` with each of these events, in a thread of its own.

        After the last three Windows ends us as soon as ``report`` returns, or after five seconds.
        """

        def handle(event: int) -> bool:
            report(event)
            return True  # no other handler, such as Python's KeyboardInterrupt, is called

        self._handler = _ConsoleHandler(handle)
        checked(_SetConsoleHandler(self._handler, True))

    def close(self) -> None:
        """Restore the former handler."""
        checked(_SetConsoleHandler(self._handler, False))


def break_group(group: int) -> None:
    """Send Ctrl-Break to the processes of ``group`` on our console; raises OSError without one."""
    checked(_ConsoleEvent(Console.BREAK, group))


def processor_times(process: int) -> tuple[float, float]:
    """Return the seconds that a process, by its handle, has spent in itself and in the system."""
    created, exited, kernel, user = (wintypes.FILETIME() for _ in range(4))
    checked(_GetProcessTimes(process, *map(ctypes.byref, (created, exited, kernel, user))))
    return _seconds(user), _seconds(kernel)


def _seconds(time: wintypes.FILETIME) -> float:
    return (time.dwHighDateTime << 32 | time.dwLowDateTime) * _FILETIME
