"""What every platform promises: that of the system at hand, and the fake one of the tests.

Also run in a Windows Python, by tests/wine/test_inside.py: so nothing here is of one system.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys

import pytest

from prefork.core.states import ExitStatus
from prefork.ipc import messages
from prefork.platform.base import Notice, ProgramOrder
from prefork.platform.system import System
from rig.fake_platform import FakePlatform, Script
from rig.platform_world import LIMIT, World

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

#: Programs, for a real system and for the fake one.
EXITS = "import sys; sys.exit(7)"
STAYS = "import threading; print('up', flush=True); threading.Event().wait()"
PRINTS = "import sys; print('out', flush=True); print('err', file=sys.stderr, flush=True)"


class Behaviour(Script):
    """What the children of these tests do, as far as that is not what all do."""

    def __init__(self, order):
        self.order = order
        program = isinstance(order, ProgramOrder)
        self.refusal = "no such file" if program and "absent" in order.argv[0] else None

    def start(self, process):
        if not process.child.program:
            super().start(process)
        elif self.order.argv[-1] == EXITS:
            process.exit(7)
        elif self.order.argv[-1] == PRINTS:
            for text, fd in zip((b"out", b"err"), self.order.outputs, strict=True):
                os.write(fd, text)
            process.exit(0)
        else:
            os.write(self.order.outputs[0], b"up\n")

    def dump(self, process):
        process.write_stacks("Thread 1 (most recent call first):\n  in main\n")


@pytest.fixture(params=["real", "fake"])
def world(request):
    """
    What a platform changes in its process is put back afterwards.
    """
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    with contextlib.ExitStack() as stack:
        platform = System() if request.param == "real" else FakePlatform(Behaviour)
        platform.catch_signals()
        world = World(platform, stack)
        stack.callback(platform.close)
        stack.callback(world.end)
        yield world
    if hasattr(os, "waitpid") and os.name == "posix":
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)
    for number, handler in handlers.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


def text_of(fd):
    os.lseek(fd, 0, os.SEEK_SET)
    return os.read(fd, 1000).replace(b"\r\n", b"\n")


def test_the_clock_never_goes_back(world):
    """
    And nothing has happened yet.
    """
    assert world.platform.now() <= world.platform.now()
    assert [] == list(world.platform.signals())
    assert [] == list(world.platform.reap(lambda: None))


def test_a_spawned_worker_comes_up(world):
    """
    Its process is known from the start; it reports that it is loaded, then that it is ready.
    """
    child = world.worker(2)

    assert (2, 3, None, False) == (child.slot, child.generation, child.serial, child.program)
    assert [messages.Loaded(), messages.Ready(child.pid, "stream")] == world.messages(child, 2)


def test_a_drained_worker_exits_with_0_and_is_reported_once(world):
    """
    Whatever is done to it later hits no other process.
    """
    child = world.ready_worker()

    world.platform.send(child, messages.DRAIN)
    ended: list[Notice] = []

    def look() -> list[Notice]:
        ended.extend(world.platform.reap(lambda: None))
        return ended

    world.until(look, again=lambda: world.platform.wake(child))

    assert [(child, ExitStatus(code=0), False)] == [(n.child, n.ended, n.stopped) for n in ended]
    assert [] == list(world.platform.reap(lambda: None))
    world.platform.kill(child)
    world.platform.send(child, messages.DRAIN)
    world.platform.wake(child)
    world.platform.ask_for_stacks(child)
    assert [] == list(world.platform.reap(lambda: None))


def test_a_killed_worker_is_reported_as_killed(world):
    """
    ``doomed`` tells that it was our doing.
    """
    child = world.ready_worker()
    assert not child.doomed

    world.platform.kill(child)

    [notice] = world.notices()
    assert (child, ExitStatus(signal="SIGKILL")) == (notice.child, notice.ended)
    assert child.doomed


def test_two_that_end_are_two_notices(world):
    """
    Though the signal may come only once.
    """
    children = [world.ready_worker(slot) for slot in (0, 1)]
    for child in children:
        world.platform.kill(child)

    assert children == sorted(
        (notice.child for notice in world.notices(2)), key=lambda child: child.slot
    )


def test_stacks_are_written_on_demand_each_time_anew(world):
    """
    And what the system knows of the process is text.
    """
    child = world.ready_worker()

    for _ in range(2):
        world.platform.ask_for_stacks(child)
        world.until(lambda: b"in main\n" in world.platform.stacks(child))
        assert 1 == world.platform.stacks(child).count(b"in main\n")
    states = [world.platform.kernel_state(child), *world.platform.thread_states(child)]
    assert all(isinstance(value, str) for state in states for value in state.values())


def test_a_program_ends_with_its_own_status(world):
    """
    Its channel has ended from the start: nothing of ours runs in its process.
    """
    child = world.program(EXITS)

    [notice] = world.notices()
    assert (child, ExitStatus(code=7)) == (notice.child, notice.ended)
    assert child.program
    assert b"" == child.channel.recv(100)


def test_a_program_prints_to_what_it_was_given(world):
    """
    Standard output and standard error, each to its own.
    """
    outputs = world.file("out"), world.file("err")
    world.program(PRINTS, outputs)
    world.notices()

    assert [b"out", b"err"] == [text_of(fd).strip() for fd in outputs]


def test_a_program_can_be_killed_and_get_a_signal(world):
    """
    One that the system has, or it is an error.
    """
    outputs = world.file("out"), world.file("err")
    child = world.program(STAYS, outputs)
    world.until(lambda: text_of(outputs[0]))

    with contextlib.suppress(OSError):
        world.platform.signal(child, "SIGTERM")
        [notice] = world.notices()
        assert ExitStatus(signal="SIGTERM") == notice.ended
        return
    world.platform.kill(child)
    assert ExitStatus(signal="SIGKILL") == world.notices()[0].ended


def test_what_cannot_be_started_is_an_error_and_leaves_nothing(world):
    """
    The next one is started as if nothing had been.
    """
    for _ in range(3):
        with pytest.raises(OSError):
            world.program(EXITS, file=os.path.join(os.getcwd(), "absent"))  # noqa: PTH109, PTH118

    world.program(EXITS)
    assert 1 == len(world.notices())


def test_a_mold_forks_workers_that_are_reported_like_others(world):
    """
    Where there are none, that is an error.
    """
    if not world.platform.can_fork:
        with pytest.raises(OSError):
            world.mold()
        return
    mold = world.mold()
    child = world.fork(mold, 5)
    assert (None, 75) == (child.pid, child.serial)

    [forked] = world.messages(mold)
    assert messages.Forked(75, forked.pid) == forked
    world.platform.adopt(child, forked.pid)
    assert [messages.Ready(forked.pid, "stream")] == world.messages(child)
    world.platform.kill(child)

    [notice] = world.notices()
    assert (child, ExitStatus(signal="SIGKILL")) == (notice.child, notice.ended)


def test_a_worker_that_ends_before_its_mold_was_read_is_not_lost(world):
    """
    ``refresh`` reads the report that names it.
    """
    if not world.platform.can_fork:
        pytest.skip("nothing is forked here")
    mold = world.mold()
    child = world.fork(mold, 5)
    [ready] = world.messages(child)
    os_kill(world, ready.pid)

    def refresh():
        if child.pid is None:
            [forked] = world.messages(mold)
            world.platform.adopt(child, forked.pid)

    [notice] = world.notices(refresh=refresh)
    assert (child, ExitStatus(signal="SIGKILL")) == (notice.child, notice.ended)
    assert not child.doomed


def test_a_worker_that_is_killed_before_it_is_known_dies_once_it_is(world):
    """
    The system cannot find it earlier.
    """
    if not world.platform.can_fork:
        pytest.skip("nothing is forked here")
    mold = world.mold()
    child = world.fork(mold, 5)
    world.platform.kill(child)
    assert child.doomed

    world.platform.adopt(child, world.messages(mold)[0].pid)

    [notice] = world.notices()
    assert (child, ExitStatus(signal="SIGKILL")) == (notice.child, notice.ended)


def test_stop_and_continuation_are_reported(world):
    """
    And the worker lives on.
    """
    if os.name != "posix":
        pytest.skip("nobody is told of it here")
    child = world.ready_worker()

    suspend(world, child)
    [stopped] = world.notices()
    resume(world, child)
    [resumed] = world.notices()

    assert [(None, True), (None, False)] == [(n.ended, n.stopped) for n in (stopped, resumed)]


def test_the_end_of_the_parent_is_a_sigterm(world):
    """
    Also if it came before anybody asked.
    """
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()

    world.platform.follow(ended.pid)

    assert select.select([world.platform.wakeup], [], [], LIMIT)[0]
    assert "SIGTERM" in list(world.platform.signals())


def test_no_process_is_killed_for_memory_unless_it_is(world):
    """
    A question that costs nothing.
    """
    assert not world.platform.killed_for_memory()


def fake(world, pid):
    """Return the fake process ``pid``; None for a real one."""
    processes = getattr(world.platform, "processes", ())
    return next((process for process in processes if process.pid == pid), None)


def os_kill(world, pid):
    process = fake(world, pid)
    os.kill(pid, signal.SIGKILL) if process is None else process.die("SIGKILL")


def suspend(world, child):
    process = fake(world, child.pid)
    os.kill(child.pid, signal.SIGSTOP) if process is None else process.suspend()


def resume(world, child):
    process = fake(world, child.pid)
    os.kill(child.pid, signal.SIGCONT) if process is None else process.resume()
