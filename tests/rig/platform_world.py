"""A platform, real or fake, with what its children need to run."""

import contextlib
import os
import select
import socket
import sys
from time import monotonic

import msgspec

from prefork import worker
from prefork.ipc import messages
from prefork.ipc.plan import Plan
from prefork.ipc.scoreboard import Scoreboard
from prefork.platform.base import Child, ForkOrder, Notice, Platform, ProgramOrder, SpawnOrder
from prefork.platform.system import accept_mutex, memory_file, number_of
from prefork.settings import Settings

LIMIT = 20.0  #: seconds that anything may take


class World:
    """A platform, and what its children need."""

    def __init__(self, platform: Platform, stack: contextlib.ExitStack) -> None:
        self.platform = platform
        self.children: list[Child] = []
        self._unread: dict[int, list[messages.Message]] = {}
        self._files = stack.enter_context(contextlib.ExitStack())
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.listener = listener.fileno()
        scoreboard, plan = self.file("scoreboard"), self.file("plan")
        self.board = Scoreboard.create(scoreboard)
        mutex = None if platform.wakes_one else accept_mutex(None)[0]
        content = Plan(
            settings=Settings(target="prefork.echo:handle", log_level="error"),
            accept="blocking" if platform.wakes_one else "mutex",
            listeners=(self.listener,),
            adopted=(),
            scoreboard=number_of(scoreboard),
            mutex=mutex,
            arbiter=os.getpid(),
            generation=3,
            screened=False,
            descriptors=1024,
        )
        os.write(plan, msgspec.json.encode(content))
        self.plan = number_of(plan)
        self.shared = [self.plan, self.listener, content.scoreboard]
        self.shared += [] if mutex is None else [mutex]

    def file(self, name):
        fd = memory_file(name)
        self._files.callback(os.close, fd)
        return fd

    def worker(self, slot=0):
        words = ["--slot", str(slot), "--plan", str(self.plan), "--listener", str(self.listener)]
        return self.spawn(slot, worker.SPAWNED, words)

    def ready_worker(self, slot=0):
        child = self.worker(slot)
        assert [messages.Loaded(), messages.Ready(child.pid, "stream")] == self.messages(child, 2)
        return child

    def mold(self):
        mold = self.spawn(None, worker.MOLD, ["--plan", str(self.plan)])
        assert [messages.Loaded(), messages.Ready(mold.pid, "stream")] == self.messages(mold, 2)
        return mold

    def spawn(self, slot, module, words):
        order = SpawnOrder(
            slot=slot, generation=3, module=module, arguments=words, inherited=self.shared
        )
        return self.keep(self.platform.spawn(order))

    def fork(self, mold, slot):
        line = messages.encode(messages.MoldOrder(slot, 3, serial=slot + 70))
        order = ForkOrder(slot=slot, generation=3, serial=slot + 70, line=line)
        return self.keep(self.platform.fork(mold, order))

    def program(self, source, outputs=None, file=sys.executable):
        order = ProgramOrder(
            slot=4,
            generation=3,
            argv=[file, "-c", source],
            environ=os.environ,
            outputs=outputs or (self.file("out"), self.file("err")),
        )
        return self.keep(self.platform.start_program(order))

    def keep(self, child):
        self.children.append(child)
        return child

    def messages(self, child, count=1):
        """Return the next ``count`` messages of ``child``."""
        found = self._unread.setdefault(id(child), [])
        while len(found) < count:
            assert select.select([child.channel], [], [], LIMIT)[0], "no message"
            data = child.channel.recv(4096)
            assert data, "the channel has ended"
            *lines, child.unread = (child.unread + data).split(b"\n")
            found += map(messages.decode, lines)
            if messages.NotInherited() in found:  # under Wine
                found.remove(messages.NotInherited())
                self.platform.hand_over(child, b"", [self.listener])
        taken, found[:] = found[:count], found[count:]
        return taken

    def notices(self, count=1, refresh=lambda: None):
        """Return the next ``count`` notices, and see that SIGCHLD announces each."""
        found: list[Notice] = []
        end = monotonic() + LIMIT
        while len(found) < count:
            assert monotonic() < end, "no notice"
            assert select.select([self.platform.wakeup], [], [], LIMIT)[0], "nothing happens"
            if "SIGCHLD" in self.platform.signals():
                found += self.platform.reap(refresh)
        return found

    def until(self, condition, again=lambda: None):
        end = monotonic() + LIMIT
        while not condition():
            assert monotonic() < end, "it did not come true"
            select.select([self.platform.wakeup], [], [], 0.02)
            again()

    def end(self):
        for child in self.children:
            if child.pid is not None:
                self.platform.kill(child)
        for child in self.children:
            child.close()
