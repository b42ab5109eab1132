"""Starting, asking, stopping and burying real processes."""

import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
from functools import partial

import msgspec
import pytest

from prefork import worker
from prefork.core.states import ExitStatus
from prefork.ipc import messages
from prefork.ipc.plan import Plan
from prefork.ipc.scoreboard import Scoreboard
from prefork.platform.base import ForkOrder, SpawnOrder
from prefork.platform.posix.linux import LinuxPlatform
from prefork.platform.posix.signals import CAUGHT as HEARD
from prefork.platform.posix.system import memory_file
from prefork.settings import Settings
from rig.processes import is_alive, parent_of
from rig.waiting import until

pytestmark = pytest.mark.slow


class World:
    """A backend, and the files that its children need."""

    def __init__(self, stack):
        self.listener = stack.enter_context(socket.socket())
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.scoreboard, self.plan = memory_file("scoreboard"), memory_file("plan")
        for fd in (self.scoreboard, self.plan):
            stack.callback(os.close, fd)
        self.board = Scoreboard.create(self.scoreboard)
        fd = self.listener.fileno()
        plan = Plan(
            settings=Settings(target="prefork.echo:handle", log_level="error"),
            accept="blocking",
            listeners=(fd,),
            adopted=(),
            scoreboard=self.scoreboard,
            mutex=None,
            arbiter=os.getpid(),
            generation=1,
            screened=False,
            descriptors=1024,
        )
        os.write(self.plan, msgspec.json.encode(plan))
        self.backend = LinuxPlatform()
        stack.callback(self.backend.wakeup.close)
        stack.callback(self.backend._wakeup_writer.close)
        self.children = []
        stack.callback(self.end)

    def spawn(self, slot=0):
        fd = self.listener.fileno()
        words = ["--slot", str(slot), "--plan", str(self.plan), "--listener", str(fd)]
        return self.keep(self.backend.spawn(self.order(slot, worker.SPAWNED, words)))

    def mold(self):
        words = ["--plan", str(self.plan)]
        return self.keep(self.backend.spawn(self.order(None, worker.MOLD, words)))

    def order(self, slot, module, words):
        inherited = (self.plan, self.scoreboard, self.listener.fileno())
        return SpawnOrder(
            slot=slot, generation=1, module=module, arguments=words, inherited=inherited
        )

    def fork(self, mold, slot):
        line = messages.encode(messages.ForkOrder(slot, 1, slot))
        order = ForkOrder(slot=slot, generation=1, serial=slot, line=line)
        return self.keep(self.backend.fork(mold, order))

    def keep(self, child):
        child.channel.settimeout(15)
        self.children.append(child)
        return child

    def hear(self, child):
        """Return the next message of ``child``."""
        if not hasattr(self, "heard"):
            self.heard: dict[int, list] = {}
        queue = self.heard.setdefault(id(child), [])
        while not queue:
            data = child.channel.recv(4096)
            assert data, "the channel has ended"
            *lines, child.unread = (child.unread + data).split(b"\n")
            queue += [messages.decode(line) for line in lines]
        return queue.pop(0)

    def notices(self, count=1):
        """Return the next ``count`` notices."""
        found: list = []

        def look():
            found.extend(self.backend.reap(refresh=lambda: None))
            return len(found) >= count

        until(look, what=f"{count} notices")
        return found

    def end(self):
        for child in self.children:
            if child.pid is not None and is_alive(child.pid):
                os.kill(child.pid, signal.SIGKILL)
        for child in self.children:
            child.close()
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)


@pytest.fixture
def world():
    """
    What a backend changes in its process is put back afterwards.
    """
    handlers = {signum: signal.getsignal(signum) for signum in HEARD}
    with contextlib.ExitStack() as stack:
        yield World(stack)
    ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)
    signal.set_wakeup_fd(-1)
    for signum, handler in handlers.items():
        signal.signal(signum, handler)


def test_a_spawned_worker_comes_up(world):
    """
    It says that its target is loaded, then that it is ready.
    """
    child = world.spawn()

    assert [messages.Loaded(), messages.Ready(child.pid, "stream")] == [
        world.hear(child),
        world.hear(child),
    ]
    assert os.getpid() == parent_of(child.pid)
    assert os.getpgid(child.pid) == child.pid


def test_a_mold_forks_workers_that_are_our_children(world):
    """
    The mold announces each before it can be reaped.
    """
    mold = world.mold()
    assert [messages.Loaded(), messages.Ready(mold.pid, "stream")] == [
        world.hear(mold),
        world.hear(mold),
    ]

    children = [world.fork(mold, slot) for slot in (0, 1)]
    for child in children:
        assert child.pid is None
        forked = world.hear(mold)
        assert messages.Forked(child.slot, forked.pid) == forked
        world.backend.adopt(child, forked.pid)

    assert [messages.Ready(child.pid, "stream") for child in children] == [
        world.hear(c) for c in children
    ]
    for child in children:
        until(partial(_is_ours, child), what="our child")


def _is_ours(child):
    return parent_of(child.pid) == os.getpid()


def test_a_drained_worker_exits_with_0(world):
    """
    And is noticed once.
    """
    child = world.spawn()
    world.hear(child), world.hear(child)

    world.backend.send(child, messages.DRAIN)
    ended = []

    def gone():
        world.backend.wake(child)
        ended.extend(world.backend.reap(refresh=lambda: None))
        return ended

    until(gone)

    assert [(child, ExitStatus(code=0))] == [(notice.child, notice.ended) for notice in ended]
    assert [] == list(world.backend.reap(refresh=lambda: None))
    world.backend.kill(child)  # nobody is hit: it is known to be gone


def test_a_killed_worker_is_told_by_the_signal(world):
    """
    ``doomed`` tells that it was our doing.
    """
    child = world.spawn()

    world.backend.kill(child)

    [notice] = world.notices()
    assert ExitStatus(signal="SIGKILL") == notice.ended
    assert child.doomed


def test_a_worker_that_is_not_born_yet_is_killed_at_its_birth(world):
    """
    Its pid is not known before.
    """
    mold = world.mold()
    world.hear(mold), world.hear(mold)
    child = world.fork(mold, 0)
    world.backend.kill(child)

    world.backend.adopt(child, world.hear(mold).pid)

    [notice] = world.notices()
    assert (child, ExitStatus(signal="SIGKILL")) == (notice.child, notice.ended)


def test_stop_and_go_are_noticed(world):
    """
    SIGSTOP and SIGCONT, and the worker lives on.
    """
    child = world.spawn()
    world.hear(child), world.hear(child)

    os.kill(child.pid, signal.SIGSTOP)
    [stopped] = world.notices()
    os.kill(child.pid, signal.SIGCONT)
    [resumed] = world.notices()

    assert [(None, True), (None, False)] == [(n.ended, n.stopped) for n in (stopped, resumed)]
    assert is_alive(child.pid)


def test_strangers_are_buried_without_a_word(world):
    """
    Orphans of workers end up as our children; they concern nobody.
    """
    script = "import os; os.fork() or os._exit(0)"
    subprocess.run([sys.executable, "-c", script], check=True)
    child = world.spawn()
    world.backend.kill(child)

    notices = world.notices()

    assert [child] == [notice.child for notice in notices]


def test_the_stacks_are_in_the_dump_file(world):
    """
    Each time anew.
    """
    child = world.spawn()
    world.hear(child), world.hear(child)

    for _ in range(2):
        world.backend.ask_for_stacks(child)
        until(lambda: b"in run" in os.pread(child.dump, 1 << 16, 0))
        stacks = os.pread(child.dump, 1 << 16, 0)
        assert 1 == stacks.count(b"most recent call first")


def test_signals_are_read_from_the_loop(world):
    """
    Each that came since the last look, once, in order.
    """
    world.backend.catch_signals()
    for signum in (signal.SIGTTIN, signal.SIGHUP, signal.SIGTTIN):
        os.kill(os.getpid(), signum)
    assert select.select([world.backend.wakeup], [], [], 5)[0]

    assert {"SIGTTIN", "SIGHUP"} == set(world.backend.signals())
    assert [] == list(world.backend.signals())


def test_a_child_inherits_what_it_needs_and_nothing_else(world):
    """
    However many descriptors we have, and whether they are inheritable or not.
    """
    with socket.socket() as stranger:
        child = world.spawn()
        world.hear(child), world.hear(child)

        ours = os.fstat(stranger.fileno()).st_ino
        links = {
            os.readlink(f"/proc/{child.pid}/fd/{fd}")  # noqa: PTH115
            for fd in os.listdir(f"/proc/{child.pid}/fd")
        }
    assert f"socket:[{ours}]" not in links
    assert f"socket:[{os.fstat(world.listener.fileno()).st_ino}]" in links
    assert os.devnull in links
