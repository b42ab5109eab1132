"""Objects of Windows: events, mutexes, waits, jobs."""

import ctypes
import subprocess
import sys
import threading
from contextlib import ExitStack
from ctypes import wintypes

import pytest

from prefork.platform.windows.api import (
    Event,
    Handle,
    Mutex,
    RegisteredWait,
    WaitCallback,
    Waits,
    checked,
    function,
    processor_times,
)

handle_count = function(
    "GetProcessHandleCount", wintypes.BOOL, wintypes.HANDLE, ctypes.POINTER(wintypes.DWORD)
)
open_process = function(
    "OpenProcess", wintypes.HANDLE, wintypes.DWORD, wintypes.BOOL, wintypes.DWORD
)
SYNCHRONIZE = 0x100000


def opened(pid):
    """Return a handle of our own on a process, to wait for."""
    return Handle(checked(open_process(SYNCHRONIZE, False, pid)))


def open_handles():
    found = wintypes.DWORD()
    assert handle_count(-1, ctypes.byref(found))
    return found.value


def test_an_event_stays_set():
    """
    Unless it resets itself at the end of a wait.
    """
    with Event.create() as stays, Event.create(resets=True) as resets:
        for event in (stays, resets):
            assert Waits([event.value]).wait(0) is None
            event.set()

        assert [0, 0] == [Waits([stays.value]).wait(0) for _ in range(2)]
        assert [0, None] == [Waits([resets.value]).wait(0) for _ in range(2)]
        assert stays.is_set


def test_of_several_the_lowest_ends_a_wait():
    """
    So the order to leave comes before the mutex.
    """
    with Event.create() as first, Event.create() as second:
        waits = Waits([first.value, second.value])
        second.set()
        assert 1 == waits.wait(1)
        first.set()

        assert 0 == waits.wait(1)


def test_a_wait_for_too_many_is_refused():
    """
    64 are the most that Windows takes.
    """
    with ExitStack() as stack:
        events = [stack.enter_context(Event.create()) for _ in range(65)]

        assert Waits([event.value for event in events[:64]]).wait(0) is None
        with pytest.raises(OSError):
            Waits([event.value for event in events]).wait(0)


def test_a_mutex_is_had_after_its_owner_has_died():
    """
    The wait for it says nothing of that: it is had in either case.
    """
    name = "prefork-test-abandoned"
    with Mutex.create(name) as mutex:
        script = (
            "import os; from prefork.platform.windows.api import Mutex, Waits; "
            f"mutex = Mutex.create({name!r}); assert mutex.existed; "
            "assert Waits([mutex.value]).wait(1) == 0; os.write(1, b'taken'); os.read(0, 1)"
        )
        pipe = subprocess.PIPE
        with subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe) as owner:
            assert b"taken" == owner.stdout.read(5)
            with Event.create() as never:
                waits = Waits([never.value, mutex.value])
                assert waits.wait(0.05) is None
                owner.kill()
                assert 1 == waits.wait(5)
        mutex.release()


def test_a_mutex_that_is_not_ours_cannot_be_released():
    """
    That is a mistake of ours, and an error.
    """
    with Mutex.create() as mutex, pytest.raises(OSError):
        mutex.release()


def test_a_hundred_waits_at_once_are_told_of():
    """
    Each once, by the context that it was registered with.
    """
    heard, all_heard = [], threading.Event()

    def hear(context, timed_out):
        heard.append((context, bool(timed_out)))
        if len(heard) == 100:
            all_heard.set()

    callback = WaitCallback(hear)
    with ExitStack() as stack:
        events = [stack.enter_context(Event.create()) for _ in range(100)]
        for number, event in enumerate(events, start=1):
            stack.callback(RegisteredWait(event.value, callback, number).close)
        for event in events:
            event.set()
        assert all_heard.wait(10)

    assert [(number, False) for number in range(1, 101)] == sorted(heard)


def test_a_wait_can_be_closed_at_the_moment_its_call_ends():
    """
    The thread of the system may not have noted yet that it is over.
    """
    called = threading.Event()
    callback = WaitCallback(lambda context, timed_out: called.set())
    for _ in range(1000):
        with Event.create() as event:
            wait = RegisteredWait(event.value, callback, 1)
            event.set()
            assert called.wait(10)
            called.clear()
            wait.close()


def test_nothing_is_left_open():
    """
    Each object has an owner that closes it.
    """

    def use():
        callback = WaitCallback(print)
        with Event.create() as event, Mutex.create() as mutex:
            RegisteredWait(event.value, callback, 1).close()
            Waits([mutex.value]).wait(0)
            mutex.release()

    use()
    before = open_handles()
    for _ in range(100):
        use()

    assert open_handles() <= before + 5


def test_processor_times_grow():
    """
    In seconds, of any process that we have a handle on.
    """
    user, system = processor_times(-1)
    sum(range(3_000_000))

    assert 60 > sum(processor_times(-1)) > user + system >= 0
