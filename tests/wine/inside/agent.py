"""Does to Windows processes what the tests ask for: ``VERB PID`` a line, an answer a line."""

import ctypes
import sys
from ctypes import wintypes

QUERY_AND_ACT = 0x1FFFFF  # PROCESS_ALL_ACCESS
TIMED_OUT = 0x102
KILLED = 1  # as the task manager does it

kernel = ctypes.WinDLL("kernel32", use_last_error=True)
native = ctypes.WinDLL("ntdll")
kernel.OpenProcess.argtypes = (wintypes.DWORD, wintypes.BOOL, wintypes.DWORD)
kernel.OpenProcess.restype = wintypes.HANDLE
kernel.CloseHandle.argtypes = (wintypes.HANDLE,)
kernel.TerminateProcess.argtypes = (wintypes.HANDLE, wintypes.UINT)
kernel.WaitForSingleObject.argtypes = (wintypes.HANDLE, wintypes.DWORD)
kernel.GetProcessTimes.argtypes = (wintypes.HANDLE, *[ctypes.POINTER(ctypes.c_uint64)] * 4)
for name in ("NtSuspendProcess", "NtResumeProcess"):
    getattr(native, name).argtypes = (wintypes.HANDLE,)
native.NtQueryInformationProcess.argtypes = (
    *(wintypes.HANDLE, ctypes.c_int, ctypes.c_void_p),
    *(wintypes.ULONG, ctypes.c_void_p),
)


def main():
    print("up", flush=True)
    for line in sys.stdin:
        verb, pid = line.split()
        try:
            print(act(VERBS[verb], int(pid)), flush=True)
        except OSError as error:
            print(f"error {error}", flush=True)


def act(verb, pid):
    process = kernel.OpenProcess(QUERY_AND_ACT, False, pid)
    if not process:
        return "gone"
    try:
        # A process that has ended can be opened as long as somebody holds a handle of it.
        if kernel.WaitForSingleObject(process, 0) != TIMED_OUT:
            return "gone"
        return verb(process)
    finally:
        kernel.CloseHandle(process)


def kill(process):
    if not kernel.TerminateProcess(process, KILLED):
        raise ctypes.WinError(ctypes.get_last_error())
    return "done"


def suspend(process):
    return ended_well(native.NtSuspendProcess(process))


def resume(process):
    return ended_well(native.NtResumeProcess(process))


def ended_well(status):
    if status:
        raise OSError(f"{status & 0xFFFFFFFF:#x}")
    return "done"


def alive(process):
    return "done"


def parent(process):
    basic = (ctypes.c_void_p * 6)()  # PROCESS_BASIC_INFORMATION; the last is the parent's id
    size = ctypes.sizeof(basic)
    ended_well(native.NtQueryInformationProcess(process, 0, basic, size, None))
    return f"done {basic[5] or 0}"


def cpu(process):
    times = [ctypes.c_uint64() for _ in range(4)]  # creation, exit, kernel, user
    if not kernel.GetProcessTimes(process, *map(ctypes.byref, times)):
        raise ctypes.WinError(ctypes.get_last_error())
    return f"done {(times[2].value + times[3].value) / 1e7}"


VERBS = {
    "kill": kill,
    "suspend": suspend,
    "resume": resume,
    "alive": alive,
    "parent": parent,
    "cpu": cpu,
}

if __name__ == "__main__":
    main()
