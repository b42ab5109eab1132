"""Stacks of a Windows process on demand, even while C code holds the interpreter's lock.

There is no signal for that, and a thread of Python's would wait for the lock.  But faulthandler
also writes all stacks, in C and without the lock, when an exception of Windows' is raised in any
thread.  So we have the system's thread pool wait for an event, raise an exception of our own, and
go on after it as if nothing had been: a few instructions of machine code, written here.
"""

import ctypes
import faulthandler
import platform
import threading
from ctypes import wintypes
from typing import Final

from prefork.platform.windows.api import DUMP, RegisteredWait, Waits, checked, function

_COMMIT_AND_RESERVE: Final = 0x3000
_EXECUTE_READWRITE: Final = 0x40

_VirtualAlloc = function(
    *("VirtualAlloc", wintypes.LPVOID, wintypes.LPVOID, ctypes.c_size_t),
    *(wintypes.DWORD, wintypes.DWORD),
)
_AddHandler = function(
    "AddVectoredExceptionHandler", wintypes.LPVOID, wintypes.ULONG, wintypes.LPVOID
)
_RaiseException = function("RaiseException", None)


def dump_on(event: int, fd: int) -> None:
    """Write the stacks of all threads to ``fd`` each time that ``event`` is set.

    Those of a crash, such as an access violation, are written there as well.
    """
    faulthandler.enable(file=fd, all_threads=True)
    if platform.machine() == "AMD64":
        # Last, so after faulthandler's.  Neither is ever taken back.
        checked(_AddHandler(0, _machine_code(_going_on())))
        RegisteredWait(event, _machine_code(_raising()), 0, once=False)
        return
    threading.Thread(target=_dump_on, args=(event, fd), name="stacks", daemon=True).start()


def _dump_on(event: int, fd: int) -> None:
    """Do the same in a thread of Python's, which needs the lock."""
    waits = Waits([event])
    while waits.wait() is not None:
        faulthandler.dump_traceback(file=fd, all_threads=True)


def _raising() -> bytes:
    """Return the function ``RaiseException(DUMP, 0, 0, NULL)``."""
    address = ctypes.cast(_RaiseException, ctypes.c_void_p).value  # type: ignore[arg-type]
    assert address is not None
    return b"".join(
        [
            b"\x48\x83\xec\x28",  # sub rsp, 40
            b"\xb9" + DUMP.to_bytes(4, "little"),  # mov ecx, DUMP
            b"\x31\xd2",  # xor edx, edx
            b"\x45\x31\xc0",  # xor r8d, r8d
            b"\x45\x31\xc9",  # xor r9d, r9d
            b"\x48\xb8" + address.to_bytes(8, "little"),  # mov rax, RaiseException
            b"\xff\xd0",  # call rax
            b"\x48\x83\xc4\x28",  # add rsp, 40
            b"\xc3",  # ret
        ]
    )


def _going_on() -> bytes:
    """Return a handler that has our exception continue, and nobody else's."""
    return b"".join(
        [
            b"\x48\x8b\x01",  # mov rax, [rcx]: the record of the exception
            b"\x81\x38" + DUMP.to_bytes(4, "little"),  # cmp dword ptr [rax], DUMP
            b"\xb8\x00\x00\x00\x00",  # mov eax, EXCEPTION_CONTINUE_SEARCH
            b"\x75\x05",  # jne to the end
            b"\xb8\xff\xff\xff\xff",  # mov eax, EXCEPTION_CONTINUE_EXECUTION
            b"\xc3",  # ret
        ]
    )


def _machine_code(code: bytes) -> ctypes.c_void_p:
    """Return a pointer to ``code`` in memory that may be executed."""
    memory = checked(_VirtualAlloc(None, len(code), _COMMIT_AND_RESERVE, _EXECUTE_READWRITE))
    ctypes.memmove(memory, code, len(code))
    return ctypes.c_void_p(memory)
