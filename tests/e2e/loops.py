"""Handlers of the user for event loops, which answer as PID_ECHO does; and how to ask for them."""

import pytest

from rig.systems import on_posix, on_windows

STREAM = """
import asyncio, os, select, threading

def computes_in_c():
    import itertools
    sum(itertools.repeat(0))  # guilty

def sleeps():
    threading.Event().wait()  # guilty

async def waits_for_the_other(reader):
    return await reader.read(1)

async def handle(reader, writer):
    writer.write(b"%d\\n" % os.getpid())
    while data := await reader.read(1 << 16):
        match data:
            case b"raise":
                raise ValueError("as asked")
            case b"exit":
                raise SystemExit(3)
            case b"cancel":
                asyncio.current_task().cancel()
            case b"sleep":
                sleeps()
            case b"c":
                computes_in_c()
            case b"wait":
                await waits_for_the_other(reader)
            case b"spawn":
                asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        writer.write(data)
        await writer.drain()
"""

PROTOCOL = """
import asyncio, os, threading

def computes_in_c():
    import itertools
    sum(itertools.repeat(0))  # guilty

def sleeps():
    threading.Event().wait()  # guilty

class Handle(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        transport.write(b"%d\\n" % os.getpid())

    def data_received(self, data):
        match data:
            case b"raise":
                raise ValueError("as asked")
            case b"sleep":
                sleeps()
            case b"c":
                computes_in_c()
        self.transport.write(data)

handle = Handle
"""

SOURCES = {"asyncio": STREAM, "protocol": PROTOCOL}

each_loop = pytest.mark.parametrize("loop", ["asyncio", on_posix("uvloop"), on_windows("selector")])
#: Each of them with each, where that costs little.
each_pair = pytest.mark.parametrize(
    ("kind", "loop"),
    [
        ("asyncio", "asyncio"),
        on_posix("asyncio", "uvloop"),
        on_posix("protocol", "asyncio"),
        on_posix("protocol", "uvloop"),
        on_windows("protocol", "selector"),
    ],
)
each_kind = pytest.mark.parametrize("kind", ["asyncio", "protocol"])
