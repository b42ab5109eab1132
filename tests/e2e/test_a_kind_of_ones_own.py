"""Kinds that prefork does not know, declared and registered by a module of the user."""

import json
import subprocess
from contextlib import ExitStack

import pytest

from rig.clients import connect, read_line
from rig.systems import each_method
from rig.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.windows]

#: Two kinds: a function that is called with each line, and a coroutine that is awaited for each.
KINDS = """
from functools import partial

from prefork.kinds import register
from prefork.kinds.base import IN_A_LOOP, Kind

def matches(shape):
    return shape.names == ("line",) and not shape.is_coroutine_function

def serve(worker, handler):
    def converse(connection, address):
        with connection.makefile("rwb") as file:
            for line in file:
                file.write(handler.target(line))
                file.flush()
    return worker.serve_each(converse)

def matches_in_loop(shape):
    return shape.names == ("line",) and shape.is_coroutine_function

def serve_in_loop(worker, handler):
    return worker.serve_in_loop(partial(converse, handler.target))

async def converse(answer, connection):
    import asyncio
    reader = asyncio.StreamReader()
    made = asyncio.get_running_loop().create_future()
    protocol = asyncio.StreamReaderProtocol(reader, lambda _, writer: made.set_result(writer))
    await connection.connect(protocol)
    writer = await made
    try:
        while line := await reader.readline():
            writer.write(await answer(line))
    finally:
        writer.close()

register(Kind(
    name="lines",
    serve=serve,
    example="answer(line)",
    arguments=("line",),
    matches=matches,
    order=5,
))
register(Kind(
    name="chats",
    serve=serve_in_loop,
    example="async answer(line)",
    arguments=("line",),
    matches=matches_in_loop,
    order=6,
    coroutine=True,
    event_loop=True,
    capacity="concurrency",
    accepts=IN_A_LOOP,
))
"""

LAUNCHER = """
import sys
import own_kinds
from prefork.cli import main

sys.exit(main(sys.argv[3:]))  # what follows -m prefork
"""

LINES = """
def app(line):
    if line == b"raise\\n":
        raise ValueError("as asked")
    return line.upper()
"""

CHATS = """
async def app(line):
    if line == b"raise\\n":
        raise ValueError("as asked")
    return line.upper()
"""

each_kind = pytest.mark.parametrize(
    ("kind", "source", "capacity"), [("lines", LINES, 3), ("chats", CHATS, 7)]
)


@pytest.fixture
def launch(serve, write, host):
    """
    Starts a server by a script that registers the kinds and then is the command line.
    """

    def launch_source(source, *arguments, place=""):
        write(KINDS, f"{place}own_kinds.py")
        launcher = write(LAUNCHER, f"{place}launcher.py")
        limits = ("--threads", "3", "--concurrency", "7")
        return serve(*limits, *arguments, source=source, python=[host.shown(launcher)])

    return launch_source


@pytest.mark.parametrize("asked", ["auto", "by name"])
@each_method
@each_kind
def test_it_is_served_as_any_other(launch, kind, source, capacity, asked, start_method):
    """
    Found by a target's shape, or asked for; log and status show it, and what its workers hold.
    """
    asked = "auto" if asked == "auto" else kind
    server = launch(source, "--kind", asked, "--start", start_method, "-w", "1").ready(1)

    with connect(server.address) as client:
        client.sendall(b"hello\n")
        answer = read_line(client)
        meanwhile = server.status()
    until(lambda: server.status()["totals"]["handled"] == 1, what="a connection handled")

    assert b"HELLO" == answer
    assert kind == meanwhile["kind"]
    assert (1, True) == (meanwhile["workers"][0]["active"], meanwhile["workers"][0]["busy"])
    assert {"accepted": 1, "handled": 1, "failed": 0}.items() <= server.status()["totals"].items()
    assert [(kind, capacity)] == [
        (event["kind"], event["capacity"]) for event in server.all("target loaded")
    ]


@each_kind
def test_what_its_handler_raises_ends_one_connection(launch, kind, source, capacity):
    """
    It is logged, and counted as failed; the worker serves on.
    """
    server = launch(source, "-w", "1").ready(1)

    with connect(server.address) as client:
        client.sendall(b"raise\n")
        assert b"" == client.recv(1)
    with connect(server.address) as client:
        client.sendall(b"hello\n")
        assert b"HELLO" == read_line(client)
    until(lambda: server.status()["totals"]["handled"] == 2, what="two connections handled")

    assert 1 == server.status()["totals"]["failed"]
    assert "as asked" in server.wait_for("handler failed")["traceback"]


@each_kind
def test_its_pool_grows_with_the_load(launch, kind, source, capacity):
    """
    One worker is kept ahead of those that the units in progress fill.
    """
    server = launch(source, "-w", "1..9", "--spare", "1").ready(1)

    held = 0
    with ExitStack() as clients:
        for wanted in (2, 3, 4):
            for _ in range(capacity):
                client = clients.enter_context(connect(server.address))
                client.sendall(b"hello\n")
                assert b"HELLO" == read_line(client)
            held += capacity
            until(lambda: held == _held(server), what="all to be counted")  # noqa: B023
            until(lambda: server.status()["pool"]["ready"] >= wanted, what="workers")  # noqa: B023
            # One that waited for a moment, beside those in progress, may have asked for another.
            assert server.status()["pool"]["target"] <= wanted + 1


def test_the_default_pool_of_a_loop_is_smaller(launch):
    """
    A kind that declares an event loop gets one worker a processor at most.
    """
    blocking, loop = launch(LINES).ready(1), launch(CHATS).ready(1)

    most = [each.status()["pool"]["maximum"] for each in (blocking, loop)]

    assert most[0] == 4 * most[1]


def test_its_module_may_stand_beside_the_launcher_alone(launch):
    """
    Where no name leads workers to it, they import it by its path.
    """
    server = launch(LINES, "-w", "1", place="elsewhere/").ready(1)

    with connect(server.address) as client:
        client.sendall(b"hello\n")
        assert b"HELLO" == read_line(client)


@each_kind
def test_the_check_and_the_help_know_it(write, tmp_path, host, runtime, kind, source, capacity):
    """
    As all kinds: they ask the registry.
    """
    write(KINDS, "own_kinds.py")
    write(source)
    launcher = host.shown(write(LAUNCHER, "launcher.py"))

    def output(*arguments):
        command = host.prefork(*arguments, python=[launcher])
        environment = host.environment(runtime)
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )

    checked = output("check", "app", "--json")
    assert (0, kind) == (checked.returncode, json.loads(checked.stdout)["handler"]["kind"])
    assert kind in output("serve", "--help").stdout
    refused = output("check", "app", "--kind", "stream")
    assert 4 == refused.returncode
    refused = output("check", "app", "--kind", kind, "--bind", "udp://127.0.0.1:0")
    assert 2 == refused.returncode
    assert f"the kind {kind} (flag --kind) serves tcp:// and unix: addresses" in refused.stderr


def _held(server):
    return sum(worker["active"] for worker in server.status()["workers"])
