"""What is particular to the platforms of POSIX systems; the rest is in the contract."""

import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import sys

import pytest

from prefork.platform.posix.linux import LinuxPlatform
from prefork.platform.posix.signals import CAUGHT
from rig.platform_world import World
from rig.processes import parent_of
from rig.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def world():
    """
    What a platform changes in its process is put back afterwards.
    """
    handlers = {signum: signal.getsignal(signum) for signum in CAUGHT}
    with contextlib.ExitStack() as stack:
        platform = LinuxPlatform()
        stack.callback(platform.close)
        platform.catch_signals()
        world = World(platform, stack)
        stack.callback(world.end)
        yield world
    ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    for signum, handler in handlers.items():
        signal.signal(signum, handler)


def test_a_worker_is_our_child_in_a_group_of_its_own(world):
    """
    So the terminal's Ctrl-C does not reach it.
    """
    child = world.ready_worker()

    assert os.getpid() == parent_of(child.pid)
    assert os.getpgid(child.pid) == child.pid


def test_a_worker_of_a_mold_is_our_child(world):
    """
    It becomes that when the process in between ends.
    """
    mold = world.mold()
    child = world.fork(mold, 0)
    [forked] = world.messages(mold)
    world.platform.adopt(child, forked.pid)

    until(lambda: parent_of(forked.pid) == os.getpid(), what="our child")


def test_the_end_of_an_unknown_process_is_not_reported(world):
    """
    Orphans of workers end up as our children; only their zombies are taken away.
    """
    script = "import os; os.fork() or os._exit(0)"
    subprocess.run([sys.executable, "-c", script], check=True)
    child = world.worker()
    world.platform.kill(child)

    notices = world.notices()

    assert [child] == [notice.child for notice in notices]


def test_signals_are_read_from_the_loop(world):
    """
    Each that came since the last look, once, in order.
    """
    for signum in (signal.SIGTTIN, signal.SIGHUP, signal.SIGTTIN):
        os.kill(os.getpid(), signum)
    assert select.select([world.platform.wakeup], [], [], 5)[0]

    assert {"SIGTTIN", "SIGHUP"} == set(world.platform.signals())
    assert [] == list(world.platform.signals())


def test_a_child_inherits_what_it_needs_and_nothing_else(world):
    """
    However many descriptors we have, and whether they are inheritable or not.
    """
    with socket.socket() as stranger:
        child = world.ready_worker()

        ours = os.fstat(stranger.fileno()).st_ino
        links = {
            os.readlink(f"/proc/{child.pid}/fd/{fd}")  # noqa: PTH115
            for fd in os.listdir(f"/proc/{child.pid}/fd")
        }
    assert f"socket:[{ours}]" not in links
    assert f"socket:[{os.fstat(world.listener).st_ino}]" in links
    assert os.devnull in links
