"""A worker of ``arbiter.py``: says its process id, then echoes."""

import ctypes
import faulthandler
import json
import os
import sys
import threading

from prefork import wire
from prefork.backends.win32 import Mutex
from prefork.backends.winfiles import adopted_file, content_of
from prefork.backends.winsockets import adopted
from prefork.worker.winchannel import Channel
from prefork.worker.wingate import WindowsGate


class TellingGate(WindowsGate):
    """Says when it is this worker's turn."""

    def _take(self):
        tell("turn")
        return super()._take()


def main():
    arguments = wire.arguments(sys.argv[1:])
    plan = json.loads(content_of(adopted_file(arguments["plan"][0])))
    channel = Channel(adopted(arguments["channel"][0]), leave=lambda: None)
    dump = adopted_file(arguments["dump"][0], append=True)
    if plan["stacks"]:
        from prefork.worker.winstacks import dump_on

        dump_on(arguments["stacks"][0], dump)
    listeners = [adopted(handle) for handle in arguments["listener"]]
    kind = TellingGate if plan["tell"] else WindowsGate
    gate = kind(listeners, channel.stop, Mutex(plan["mutex"]), lambda why: tell("full", why=why))
    channel.listen()
    if plan["probe"]:
        tell("probed", handles=[is_open(handle) for handle in plan["probe"]])
    channel.tell(wire.Loaded())
    channel.tell(wire.Ready(os.getpid()))
    while (accepted := gate.accept()) is not None:
        with accepted[0] as connection:
            serve(connection)
    channel.finish()
    return 0


def serve(connection):
    connection.sendall(b"%d\n" % os.getpid())
    while data := connection.recv(1 << 16):
        if data == b"hang\n":
            ctypes.PyDLL("kernel32").Sleep(60_000)  # and nobody else gets the interpreter's lock
        elif data == b"fault\n":
            faulthandler._read_null()
        connection.sendall(data)


def is_open(handle):
    try:
        os.get_handle_inheritable(handle)
    except OSError:
        return False
    return True


def tell(event, **fields):
    with lock:
        data = json.dumps({"event": event, "pid": os.getpid(), **fields})
        os.write(1, data.encode() + b"\n")


lock = threading.Lock()

if __name__ == "__main__":
    sys.exit(main())
