"""Pipes that a program writes to and that we read without ever waiting for it (Windows).

A wait for sockets cannot wait for pipes.  So a read is always under way: the system fills our
buffer, and one of its threads reports that it has.  That is all that happens outside of our thread.
"""

import ctypes
import msvcrt
import os
from collections.abc import Callable
from ctypes import wintypes
from typing import Final

from prefork.platform.windows.api import (
    Event,
    Handle,
    RegisteredWait,
    WaitCallback,
    checked,
    function,
)

_ROOM: Final = 1 << 16  # bytes, as on other systems
_INBOUND: Final = 0x1  # PIPE_ACCESS_INBOUND
_OVERLAPPED: Final = 0x40000000
_FIRST_INSTANCE: Final = 0x80000
_REJECT_REMOTE_CLIENTS: Final = 0x8  # PIPE_REJECT_REMOTE_CLIENTS
_GENERIC_WRITE: Final = 0x40000000
_OPEN_EXISTING: Final = 3
_INVALID: Final = ctypes.c_void_p(-1).value

_ERROR_IO_PENDING: Final = 997
_ERROR_IO_INCOMPLETE: Final = 996
#: ERROR_BROKEN_PIPE, ERROR_PIPE_NOT_CONNECTED, ERROR_NO_DATA, ERROR_HANDLE_EOF.
_WRITER_GONE: Final = frozenset({109, 233, 232, 38})


class _Overlapped(ctypes.Structure):
    _fields_ = (
        ("internal", ctypes.c_size_t * 2),
        ("offset", wintypes.DWORD * 2),
        ("event", wintypes.HANDLE),
    )


_Under_way = ctypes.POINTER(_Overlapped)
_Count = ctypes.POINTER(wintypes.DWORD)
_CreateNamedPipe = function(
    *("CreateNamedPipeW", wintypes.HANDLE, wintypes.LPCWSTR),
    *[wintypes.DWORD] * 6,
    wintypes.LPVOID,
)
_CreateFile = function(
    *("CreateFileW", wintypes.HANDLE, wintypes.LPCWSTR, wintypes.DWORD, wintypes.DWORD),
    *(wintypes.LPVOID, wintypes.DWORD, wintypes.DWORD, wintypes.HANDLE),
)
_ReadFile = function(
    *("ReadFile", wintypes.BOOL, wintypes.HANDLE, wintypes.LPVOID, wintypes.DWORD, _Count),
    _Under_way,
)
_GetResult = function(
    *("GetOverlappedResult", wintypes.BOOL, wintypes.HANDLE, _Under_way, _Count, wintypes.BOOL),
)
_Cancel = function("CancelIoEx", wintypes.BOOL, wintypes.HANDLE, _Under_way)


class Pipe:
    """The reading end of a pipe."""

    def __init__(self, end: Handle, at_once: int, changed: Callable[["Pipe"], object]) -> None:
        """Call ``changed``, in a thread of the system, whenever ``read`` has something new."""
        self._end = end
        self._changed = changed
        self._buffer = ctypes.create_string_buffer(at_once)
        self._full = Event.create(resets=True)
        self._read = _Overlapped(event=self._full.value)
        self._is_open = True  #: a process may still write to it
        self._callback = WaitCallback(self._on_change)
        # For the pipe's whole life: the event resets itself for the next read.
        self._wait = RegisteredWait(self._full.value, self._callback, 0, once=False)
        self._begin()

    def read(self) -> bytes:
        """Return what has arrived, not all if it is much; nothing once no process writes any more.

        Raises BlockingIOError if nothing has arrived since.
        """
        if not self._is_open:
            return b""
        count = wintypes.DWORD()
        if not _GetResult(self._end.value, self._read, count, False):
            return self._handle_error(ctypes.get_last_error())
        data = self._buffer.raw[: count.value]
        self._begin()
        if not data:  # an empty write, which is no end
            raise BlockingIOError
        return data

    def close(self) -> None:
        """Close our end, and cancel the read that is under way."""
        self._wait.close()
        if _Cancel(self._end.value, self._read):
            # The buffer is the system's until then.
            _GetResult(self._end.value, self._read, wintypes.DWORD(), True)
        self._full.close()
        self._end.close()

    def _begin(self) -> None:
        if not _ReadFile(self._end.value, self._buffer, len(self._buffer), None, self._read):
            error = ctypes.get_last_error()
            if error != _ERROR_IO_PENDING:
                self._end_by(error)
                self._full.set()

    def _handle_error(self, error: int) -> bytes:
        if error == _ERROR_IO_INCOMPLETE:
            raise BlockingIOError
        self._end_by(error)
        return b""

    def _end_by(self, error: int) -> None:
        if error not in _WRITER_GONE:
            raise ctypes.WinError(error)
        self._is_open = False

    def _on_change(self, context: int, timed_out: bool) -> None:
        # In a thread of the system.
        del context, timed_out
        self._changed(self)


def output_pipe(at_once: int, changed: Callable[[Pipe], object]) -> tuple[Pipe, int]:
    """Return a pipe, and the descriptor of its writing end, at which a program waits for room.

    Each read takes ``at_once`` bytes at most.
    """
    # No other process can write to it: it has room for one, which is us.
    name = rf"\\.\pipe\prefork-{os.getpid()}-{os.urandom(12).hex()}"
    access = _INBOUND | _OVERLAPPED | _FIRST_INSTANCE
    ours = _opened(_CreateNamedPipe(name, access, _REJECT_REMOTE_CLIENTS, 1, 0, _ROOM, 0, None))
    try:
        theirs = _opened(_CreateFile(name, _GENERIC_WRITE, 0, None, _OPEN_EXISTING, 0, None))
        return Pipe(ours, at_once, changed), msvcrt.open_osfhandle(theirs.value, os.O_WRONLY)
    except OSError:
        ours.close()
        raise


def _opened(value: int) -> Handle:
    return Handle(checked(value != _INVALID and value))
