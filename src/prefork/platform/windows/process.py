"""Starting a process on Windows, with exactly the handles that it shall inherit."""

import contextlib
import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from ctypes import wintypes
from typing import Any, Final

from prefork.platform.windows.api import Handle, Waits, checked, function

_CREATE_NEW_PROCESS_GROUP: Final = 0x200
_CREATE_UNICODE_ENVIRONMENT: Final = 0x400
_EXTENDED_STARTUPINFO_PRESENT: Final = 0x80000
_STARTF_USESTDHANDLES: Final = 0x100
_HANDLE_LIST: Final = 0x20002  # PROC_THREAD_ATTRIBUTE_HANDLE_LIST
_JOB_LIST: Final = 0x2000D  # PROC_THREAD_ATTRIBUTE_JOB_LIST, Windows 10


class _StartupInfo(ctypes.Structure):
    """STARTUPINFOEXW."""

    _fields_ = (
        ("cb", wintypes.DWORD),
        ("names", wintypes.LPWSTR * 3),
        ("numbers", wintypes.DWORD * 7),
        ("flags", wintypes.DWORD),
        ("show", wintypes.WORD),
        ("reserved", wintypes.WORD),
        ("more", ctypes.c_void_p),
        ("streams", wintypes.HANDLE * 3),
        ("attributes", ctypes.c_void_p),
    )


class _ProcessInformation(ctypes.Structure):
    _fields_ = (
        ("process", wintypes.HANDLE),
        ("thread", wintypes.HANDLE),
        ("pid", wintypes.DWORD),
        ("tid", wintypes.DWORD),
    )


_CreateProcess = function(
    *("CreateProcessW", wintypes.BOOL, wintypes.LPCWSTR, wintypes.LPWSTR),
    *(wintypes.LPVOID, wintypes.LPVOID, wintypes.BOOL, wintypes.DWORD),
    *(wintypes.LPVOID, wintypes.LPCWSTR, wintypes.LPVOID, wintypes.LPVOID),
)
_InitializeAttributes = function(
    *("InitializeProcThreadAttributeList", wintypes.BOOL),
    *(wintypes.LPVOID, wintypes.DWORD, wintypes.DWORD, ctypes.POINTER(ctypes.c_size_t)),
)
_UpdateAttribute = function(
    *("UpdateProcThreadAttribute", wintypes.BOOL, wintypes.LPVOID, wintypes.DWORD),
    *(ctypes.c_size_t, wintypes.LPVOID, ctypes.c_size_t, wintypes.LPVOID, wintypes.LPVOID),
)
_DeleteAttributes = function("DeleteProcThreadAttributeList", None, wintypes.LPVOID)
_TerminateProcess = function("TerminateProcess", wintypes.BOOL, wintypes.HANDLE, wintypes.UINT)
_GetExitCode = function(
    "GetExitCodeProcess", wintypes.BOOL, wintypes.HANDLE, ctypes.POINTER(wintypes.DWORD)
)


class Process(Handle):
    """A process that we have started."""

    def __init__(self, value: int, pid: int) -> None:
        super().__init__(value)
        self.pid = pid

    def terminate(self, code: int) -> None:
        """End it now, with ``code``; no effect if it has ended already."""
        if not _TerminateProcess(self.value, code):
            reason = ctypes.get_last_error()
            if self.exit_code() is None:
                raise ctypes.WinError(reason)

    def exit_code(self) -> int | None:
        """Return how it ended; None as long as it lives."""
        if Waits([self.value]).wait(0) is None:
            return None
        code = wintypes.DWORD()
        checked(_GetExitCode(self.value, ctypes.byref(code)))
        return code.value


def start(
    argv: Sequence[str],
    environ: Mapping[str, str],
    streams: tuple[int, int, int],
    inherited: Sequence[int],
    job: int,
) -> Process:
    """Start ``argv`` in ``job``, with the handles ``streams`` and ``inherited``, and no other.

    It is in the job before it runs, so there is no moment in which it could outlive us.
    """
    handles = tuple(dict.fromkeys((*streams, *inherited)))
    command = ctypes.create_unicode_buffer(subprocess.list2cmdline(argv))
    block = "".join(f"{name}={value}\0" for name, value in environ.items()) + "\0"
    variables = ctypes.create_unicode_buffer(block)
    flags = _CREATE_NEW_PROCESS_GROUP  # so that Ctrl-C reaches the arbiter alone
    flags |= _CREATE_UNICODE_ENVIRONMENT | _EXTENDED_STARTUPINFO_PRESENT
    found = _ProcessInformation()
    with _inheritable(handles), _attributes(handles, job) as attributes:
        info = _StartupInfo(
            cb=ctypes.sizeof(_StartupInfo),
            flags=_STARTF_USESTDHANDLES,
            streams=(wintypes.HANDLE * 3)(*streams),
            attributes=attributes,
        )
        info_at, found_at = ctypes.byref(info), ctypes.byref(found)
        fixed = (None, None, True, flags, variables, None)
        checked(_CreateProcess(argv[0], command, *fixed, info_at, found_at))
    Handle(found.thread).close()
    return Process(found.process, found.pid)


@contextlib.contextmanager
def _inheritable(handles: Sequence[int]) -> Iterator[None]:
    """Let ``handles`` be inherited meanwhile; at no other time is any of ours inheritable."""
    with contextlib.ExitStack() as before:
        for handle in handles:
            if not os.get_handle_inheritable(handle):
                os.set_handle_inheritable(handle, True)
                before.callback(os.set_handle_inheritable, handle, False)
        yield


@contextlib.contextmanager
def _attributes(handles: Sequence[int], job: int) -> Iterator[Any]:
    """Yield the list of attributes that name ``handles`` and ``job``."""
    wanted = {
        _HANDLE_LIST: (wintypes.HANDLE * len(handles))(*handles),
        _JOB_LIST: (wintypes.HANDLE * 1)(job),
    }
    size = ctypes.c_size_t()
    _InitializeAttributes(None, len(wanted), 0, ctypes.byref(size))  # fills in the size, and fails
    attributes = ctypes.create_string_buffer(size.value)
    checked(_InitializeAttributes(attributes, len(wanted), 0, ctypes.byref(size)))
    try:
        for name, value in wanted.items():
            length = ctypes.sizeof(value)
            checked(_UpdateAttribute(attributes, 0, name, value, length, None, None))
        yield ctypes.addressof(attributes)
    finally:
        _DeleteAttributes(attributes)


def interpreter() -> tuple[str, dict[str, str]]:
    """Return what to run for a Python like ours, and with which environment.

    In a virtual environment ``sys.executable`` starts the real interpreter as its child: we would
    hold, and kill, the wrong process.  By the variable the real one finds its environment.
    """
    base: str = getattr(sys, "_base_executable", sys.executable)
    if base == sys.executable:
        return base, dict(os.environ)
    return base, {**os.environ, "__PYVENV_LAUNCHER__": sys.executable}
