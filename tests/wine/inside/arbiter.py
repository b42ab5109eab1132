"""The least that an arbiter can be: starts workers, tells their ends, obeys lines of its input.

Run as ``python arbiter.py JSON``.  It writes events to standard output, as JSON.
"""

import json
import os
import selectors
import socket
import sys
import threading
from collections import deque
from pathlib import Path
from time import perf_counter

from prefork import wire
from prefork.backends.loopback import socket_pair
from prefork.backends.win32 import Event, Mutex
from prefork.backends.windows import WindowsBackend
from prefork.backends.winfiles import handle_of, memory_file

HERE = Path(__file__).parent
DEFAULTS = {
    "workers": 5,
    "listeners": 1,
    "mutex": None,  # a name
    "tell": False,
    "stacks": False,
    "decoys": 0,
    "program": None,  # its words
}


class Arbiter:
    def __init__(self, **options):
        self.options = options
        self.selector = selectors.DefaultSelector()
        self.listeners = [bound() for _ in range(options["listeners"])]
        self.mutex = Mutex.create(options["mutex"])
        self.backend = self.make_backend()
        self.backend.catch_signals()
        self.children = {}
        self.stopping = False
        self.killed_at = {}
        self.selector.register(self.backend.wakeup, selectors.EVENT_READ, self.hear_system)
        self.commands, (bell, self.rope) = deque(), socket_pair()
        self.bell = bell
        self.selector.register(bell, selectors.EVENT_READ, self.obey)
        threading.Thread(target=self.listen, daemon=True).start()

    def make_backend(self):
        # Far beyond what a child has by itself, so that none is taken for another by chance.
        self.decoys = [Event.create() for _ in range(self.options["decoys"])]
        for decoy in self.decoys:
            os.set_handle_inheritable(decoy.value, True)
        self.wanted = Event.create()
        plan = memory_file("plan")
        content = {
            "mutex": self.mutex.value,
            "tell": self.options["tell"],
            "stacks": self.options["stacks"],
            "probe": [self.wanted.value, *(each.value for each in self.decoys[-3:])]
            if self.decoys
            else [],
        }
        os.write(plan, json.dumps(content).encode())
        self.plan = handle_of(plan)
        shared = [self.mutex.value, self.wanted.value]
        return WindowsBackend(shared, ("-P", str(HERE / "worker.py")))

    def run(self):
        ports = [each.getsockname()[1] for each in self.listeners]
        tell("listening", ports=ports, existed=self.mutex.existed)
        for slot in range(self.options["workers"]):
            self.spawn(slot)
        while not (self.stopping and not self.children):
            # What workers say comes before the news of their ends.
            ready = [key.data for key, _ in self.selector.select()]
            for callback in sorted(ready, key=lambda each: each == self.hear_system):
                callback()
        tell("finished")

    def spawn(self, slot):
        inherited = [each.fileno() for each in self.listeners]
        began = perf_counter()
        if (words := self.options["program"]) is not None:
            argv = [word.format(fd=inherited[0]) for word in words]
            environ = dict(os.environ)
            child = self.backend.spawn_program(slot, 1, argv, environ, (1, 2), inherited)
        else:
            child = self.backend.spawn(slot, 1, self.plan, inherited)
        self.children[slot] = child
        self.selector.register(child.channel, selectors.EVENT_READ, lambda: self.hear(child))
        tell("started", slot=slot, pid=child.pid, took=perf_counter() - began)

    def hear_system(self):
        for word in self.backend.signals():
            tell("signal", word=word)
            if word == "SIGCHLD":
                self.reap()
            else:
                self.stop()

    def reap(self):
        for notice in self.backend.reap(lambda: None):
            child = notice.child
            self.hear(child)
            after = perf_counter() - self.killed_at.get(child.slot, perf_counter())
            self.silence(child)
            child.close()
            del self.children[child.slot]
            tell("exited", slot=child.slot, status=str(notice.ended), after=after)

    def hear(self, child):
        while child.channel.fileno() >= 0:
            try:
                data = child.channel.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.silence(child)
                tell("silent", slot=child.slot)
                return
            for line in child.lines.feed(data):
                message = wire.decode(line)
                tell(type(message).__name__.lower(), slot=child.slot, pid=child.pid)

    def silence(self, child):
        if child.channel.fileno() >= 0:
            self.selector.unregister(child.channel)
            child.channel.close()

    def listen(self):
        for line in sys.stdin:
            self.commands.append(line.split())
            self.rope.send(b".")

    def obey(self):
        self.bell.recv(1)
        command, *numbers = self.commands.popleft()
        getattr(self, command)(*map(int, numbers))

    def kill(self, slot):
        self.killed_at[slot] = perf_counter()
        self.backend.kill(self.children[slot])

    def drain(self, slot):
        self.killed_at[slot] = perf_counter()
        self.backend.drain(self.children[slot])

    def ask(self, slot):
        self.backend.ask_for_stacks(self.children[slot])

    def show(self, slot):
        tell("stacks", slot=slot, text=self.backend.stacks(self.children[slot]).decode())

    def stop(self):
        self.stopping = True
        for slot in list(self.children):
            self.drain(slot)

    def abandon(self):
        """End without a word to anybody."""
        os._exit(3)


def bound():
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)
    return listener


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


if __name__ == "__main__":
    Arbiter(**DEFAULTS | json.loads(sys.argv[1])).run()
