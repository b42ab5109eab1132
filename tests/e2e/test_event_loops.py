"""Workers with an event loop: what they serve, and how they fail."""

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess

import pytest

from e2e.loops import SOURCES, STREAM, each_kind, each_loop, each_pair
from rig.clients import Held, Load, connect, read_all, read_line
from rig.handlers import PID_ECHO
from rig.processes import cpu_seconds, status_field
from rig.systems import each_accept, each_method, on_posix, on_windows
from rig.waiting import pause, stays, until

pytestmark = [pytest.mark.slow, pytest.mark.windows]


@pytest.mark.essential
@pytest.mark.versions
@each_pair
def test_many_connections_are_held_by_few_workers(serve, kind, loop):
    """
    Each of forty held connections gets its bytes back, and the status counts them.
    """
    server = serve("-w", "2", "--loop", loop, source=SOURCES[kind]).ready(2)

    with server.held() as held:
        held.add(40)
        for number, client in enumerate(held.clients):
            client.sendall(b"message %d" % number)
        answers = [client.recv(100) for client in held.clients]
        workers = server.status()["workers"]
        assert [b"message %d" % number for number in range(40)] == answers
        assert 40 == sum(worker["active"] for worker in workers)
        assert all(worker["busy"] for worker in workers)
        assert all(worker["busy_for"] > 0 and worker["peer"] for worker in workers)

    until(lambda: server.status()["totals"]["handled"] == 40, what="40 connections handled")
    assert {"accepted": 40, "failed": 0}.items() <= server.status()["totals"].items()
    assert {kind} == {event["kind"] for event in server.all("target loaded")}


@each_pair
def test_large_data_comes_back_whole(serve, kind, loop):
    """
    Eight megabytes, sent and received at the same time.
    """
    server = serve("-w", "1", "--loop", loop, source=SOURCES[kind]).ready(1)
    data = os.urandom(8 << 20)

    with connect(server.address) as client:
        read_line(client)
        client.setblocking(False)
        received = _exchanged(client, data)

    assert data == received


def _exchanged(client, data):
    """Return what comes back of ``data``, which is sent as fast as it is taken."""
    view, received = memoryview(data), bytearray()

    def done():
        nonlocal view
        try:
            view = view[client.send(view) :] if view else view
        except BlockingIOError:
            pass
        try:
            received.extend(client.recv(1 << 20))
        except BlockingIOError:
            pass
        return len(received) == len(data)

    until(done, what="all of the data")
    return bytes(received)


@pytest.mark.versions
@each_loop
@pytest.mark.parametrize("order", [b"raise", b"exit", b"cancel"])
def test_a_handler_that_raises_is_logged_and_the_worker_lives_on(serve, loop, order):
    """
    The exception is in the log with its traceback, the connection closed and counted as failed.
    """
    server = serve("-w", "1", "--loop", loop, source=STREAM).ready(1)
    before = server.pids()

    with connect(server.address) as client, server.held() as held:
        held.add()
        pid = int(read_line(client))
        client.sendall(order)
        read_all(client)
        event = server.wait_for("handler failed")
        held.clients[0].sendall(b"still here")
        assert b"still here" == held.clients[0].recv(100)

    error = {b"raise": "ValueError", b"exit": "SystemExit", b"cancel": "CancelledError"}[order]
    assert (pid, True) == (event["pid"], event["error"].startswith(error))
    assert "in handle" in event["traceback"]
    until(lambda: server.status()["totals"]["failed"] == 1, what="the failure counted")
    assert before == server.pids()


@each_loop
def test_a_protocol_that_raises_is_logged_and_counted(serve, loop):
    """
    What ``data_received`` raises is the handler's failure; the others go on.
    """
    server = serve("-w", "1", "--loop", loop, source=SOURCES["protocol"]).ready(1)

    with connect(server.address) as client, server.held() as held:
        held.add()
        peer = "{}:{}".format(*client.getsockname())
        read_line(client)
        client.sendall(b"raise")
        read_all(client)
        event = server.wait_for("handler failed")
        held.clients[0].sendall(b"still here")
        assert b"still here" == held.clients[0].recv(100)

    assert (peer, "ValueError('as asked')") == (event["peer"], event["error"])
    until(lambda: server.status()["totals"]["failed"] == 1, what="the failure counted")
    until(lambda: server.status()["totals"]["handled"] == 2, what="both counted as handled")


@pytest.mark.versions
@each_loop
def test_protocols_of_every_make_are_counted_to_their_end(serve, loop):
    """
    With ``__slots__``, from a factory, and with exceptions at either end.
    """
    source = """
    import asyncio, os

    class Slotted(asyncio.Protocol):
        __slots__ = ("transport",)
        def connection_made(self, transport):
            transport.write(b"%d\\n" % os.getpid())

    class Failing(Slotted):
        __slots__ = ()
        def connection_lost(self, error):
            raise RuntimeError("at the end")

    class Wrong:
        pass

    class Refusing(asyncio.Protocol):
        def connection_made(self, transport):
            raise RuntimeError("at the beginning")

    class SlottedRefusing(Refusing):
        __slots__ = ()

    kinds = iter([Slotted, Failing, Wrong, Refusing, Slotted, SlottedRefusing])

    def handle():
        return next(kinds)()
    """
    server = serve("-w", "1", "--kind", "protocol", "--loop", loop, source=source).ready(1)

    answers = [_answer_or_reset(server) for _ in range(6)]

    until(lambda: server.status()["totals"]["handled"] == 6, what="six ends")
    (worker,) = server.status()["workers"]
    assert (0, 6, 4) == (worker["active"], worker["accepted"], worker["failed"])
    assert [b"", b"", b"", *[b"%d\n" % worker["pid"]] * 3] == sorted(answers)
    errors = [event["error"] for event in server.all("handler failed")]
    assert ["at the beginning"] * 2 == re.findall("at the beginning", " ".join(errors))
    assert any("no asyncio.Protocol" in error for error in errors)
    assert any("at the end" in error for error in errors)


def _answer_or_reset(server):
    try:
        return server.ask()
    except ConnectionError:
        return b""


@pytest.mark.versions
def test_what_a_callback_raises_is_in_the_log(serve):
    """
    An exception that belongs to no connection is an ``event loop error``, and harms none.
    """
    server = serve("-w", "1", source=STREAM).ready(1)

    with connect(server.address) as client:
        read_line(client)
        client.sendall(b"spawn")
        assert b"spawn" == client.recv(10)
        event = server.wait_for("event loop error")

    assert "ZeroDivisionError" in event["error"]


@pytest.mark.essential
@pytest.mark.versions
@pytest.mark.parametrize(
    ("loop", "start_method", "order", "function"),
    [
        on_posix("asyncio", "fork", b"sleep", "sleeps"),
        on_posix("asyncio", "spawn", b"c", "computes_in_c"),
        on_windows("asyncio", "spawn", b"sleep", "sleeps"),
        on_posix("uvloop", "fork", b"c", "computes_in_c"),
        on_posix("uvloop", "spawn", b"sleep", "sleeps"),
        on_windows("selector", "spawn", b"sleep", "sleeps"),
    ],
)
def test_a_stuck_loop_is_recorded_and_replaced(
    serve, host, tmp_path, loop, start_method, order, function
):
    """
    The incident has the stack that blocks the loop and, where Python still runs, its tasks.
    """
    options = ["-w", "1", "--timeout", "0.5", "--loop", loop, "--start", start_method]
    server = serve(*options, source=STREAM).ready(1)
    hung = server.workers()[0]

    with server.held() as held:
        held.add(2)
        held.clients[0].sendall(b"wait")
        pause(0.2)  # so that this one waits before the loop is blocked
        held.clients[1].sendall(order)
        server.wait_for("worker ready", pid=lambda pid: pid != hung)

    event = server.wait_for("worker hung")
    guilty = STREAM[: STREAM.index("# guilty", STREAM.index(f"def {function}"))].count("\n") + 1
    where = f"{function} ({host.shown(tmp_path / 'app.py')}:{guilty})"
    assert (hung, where) == (event["pid"], event["where"])
    assert "hung" == server.wait_for("worker exited", pid=hung)["cause"]
    text = "\n".join(json.loads(host.path(event["incident"]).read_text())["stacks"])
    assert f"in {function}" in text
    if order == b"sleep":  # C code that never ends lets no Python look at the tasks
        assert "Tasks of the event loop" in text
        assert "> waits_for_the_other " in text


@each_pair
def test_idle_loops_and_lasting_connections_are_not_hung(serve, kind, loop):
    """
    A connection may last, and a loop sleep, far longer than ``timeout``.
    """
    server = serve("-w", "2", "--timeout", "0.3", "--loop", loop, source=SOURCES[kind]).ready(2)

    with server.held() as held:
        held.add(1)
        assert stays(lambda: not server.all("worker hung"), 1.0)
        held.clients[0].sendall(b"hello")
        assert b"hello" == held.clients[0].recv(10)


@pytest.mark.posix
def test_a_suspended_loop_is_replaced(serve):
    """
    SIGSTOP of a worker whose loop sleeps is seen, and the worker replaced after ``timeout``.
    """
    server = serve("-w", "1", "--timeout", "0.5", source=STREAM).ready(1)
    stopped = server.workers()[0]

    server.freeze(stopped)

    server.wait_for("worker ready", pid=lambda pid: pid != stopped)
    assert "hung" == server.wait_for("worker exited", pid=stopped)["cause"]


@pytest.mark.versions
@each_loop
def test_a_dump_shows_the_tasks_and_does_no_harm(serve, loop):
    """
    ``prefork dump`` of a healthy worker shows what each connection waits for.
    """
    server = serve("-w", "1", "--loop", loop, source=STREAM).ready(1)

    with server.held() as held:
        held.add(1)
        held.clients[0].sendall(b"wait")
        pause(0.1)
        (report,) = server.result("dump", "0")["workers"]
        held.clients[0].sendall(b"x")
        assert b"wait" == held.clients[0].recv(10)

    assert "Tasks of the event loop" in report["stacks"]
    assert "> waits_for_the_other " in report["stacks"]


@each_pair
def test_killed_workers_are_replaced_under_load(serve, kind, loop):
    """
    Only requests of the killed workers fail.
    """
    server = serve("-w", "3", "--loop", loop, source=SOURCES[kind]).ready(3)
    killed = []

    with Load(server.address, message=b"m") as load:
        for _ in range(5):
            load.more(50)
            victim = next(iter(server.pids()))
            killed.append(victim)
            server.kill(victim)
            server.until_replaced(victim)
            server.ready(3)

    assert 0 == load.refused
    assert {failure.pid for failure in load.failures} <= {*killed, None}
    assert len(load.failures) <= 8 * len(killed)


@pytest.mark.essential
@pytest.mark.versions
@each_pair
def test_a_stop_under_load_loses_nothing(serve, kind, loop):
    """
    Nobody whose connection was established goes without an answer.
    """
    server = serve("-w", "3", "--loop", loop, source=SOURCES[kind]).ready(3)

    with Load(server.address, message=b"m") as load:
        load.more(200)
        assert 0 == server.stop()

    assert [] == load.failures


@each_pair
def test_scaling_up_and_down_under_load_loses_nothing(serve, kind, loop):
    """
    Workers come and go, and every request is answered.
    """
    server = serve("-w", "1", "--loop", loop, source=SOURCES[kind]).ready(1)

    with Load(server.address, message=b"m") as load:
        for count in ("6", "1", "4", "2"):
            server.result("scale", count)
            server.until_pool(ready=int(count), starting=0, draining=0)
            load.more(100)

    assert ([], 0) == (load.failures, load.refused)


@pytest.mark.essential
@pytest.mark.versions
@each_loop
def test_a_draining_worker_finishes_what_it_holds(serve, loop):
    """
    A held connection is served on after the stop began, and its worker leaves with it.
    """
    server = serve("-w", "2", "--loop", loop, source=STREAM).ready(2)

    with server.held() as held:
        held.add(4)
        server.signal(signal.SIGTERM)
        server.wait_for("worker draining", count=2)
        for client in held.clients:
            client.sendall(b"still")
            assert b"still" == client.recv(10)

    assert 0 == server.wait()
    assert ["exit 0"] * 2 == [event["status"] for event in server.all("worker exited")]


@each_loop
def test_after_the_graceful_time_held_connections_end(serve, loop):
    """
    Who still holds a connection at the end of ``graceful-timeout`` is killed.
    """
    server = serve("-w", "1", "--loop", loop, "--graceful-timeout", "0.5", source=STREAM).ready(1)

    with server.held() as held:
        held.add(1)
        assert 0 == server.stop()
        assert b"" == held.clients[0].recv(1)


@pytest.mark.versions
@pytest.mark.posix
@pytest.mark.parametrize(("loop", "start_method"), [("asyncio", "fork"), ("uvloop", "spawn")])
def test_orphans_finish_and_leave_the_port(serve, loop, start_method):
    """
    When the arbiter is killed, nobody new is taken, and what is held is finished.
    """
    server = serve("-w", "2", "--loop", loop, "--start", start_method, source=STREAM).ready(2)
    workers, address = server.pids(), server.address

    with Held(address) as held:
        held.add(4)
        server.kill_arbiter()
        until(lambda: _is_refused(address), what="a free port")
        for client in held.clients:
            client.sendall(b"still")
            assert b"still" == client.recv(10)

    until(lambda: not any(server.is_alive(pid) for pid in workers), what="the end of the workers")


def _is_refused(address):
    try:
        connect(address, patience=0.2).close()
    except OSError:
        return True
    return False


@pytest.mark.posix
def test_an_idle_loop_is_not_woken(serve):
    """
    Nobody polls: asyncio's loop sleeps until something happens; uvloop's beats now and then.
    """
    server = serve("-w", "3", "--loop", "asyncio", source=STREAM).ready(3)
    for _ in range(6):
        server.ask()
    pause(0.3)
    before = [status_field(pid, "voluntary_ctxt_switches") for pid in server.pids()]

    pause(1)

    assert before == [status_field(pid, "voluntary_ctxt_switches") for pid in server.pids()]


@pytest.mark.posix
def test_listeners_of_all_sorts_are_served_by_one_loop(serve, runtime):
    """
    Two ports and a Unix socket at once.
    """
    binds = ["tcp://127.0.0.1:0", "tcp://127.0.0.1:0", f"unix:{runtime / 's'}"]
    options = [word for bind in binds for word in ("--bind", bind)]
    server = serve("-w", "2", *options, source=STREAM).ready(2)

    answers = [server.ask_at(address, b"hi").partition(b"\n")[2] for address in server.addresses]

    assert [b"hi"] * 3 == answers
    assert 0 == server.stop()


@pytest.mark.posix
def test_a_full_descriptor_table_is_survived(serve):
    """
    Without descriptors for more connections a worker says so, waits, and goes on later.
    """
    prefix = ["prlimit", "--nofile=60:60"]
    server = serve("-w", "1", source=STREAM, prefix=prefix).ready(1)

    with server.held() as held:
        until(lambda: _holds_one_more(held), what="a worker that is full")
        server.wait_for("cannot accept")
        held.release(10)
        until(lambda: server.ask(b"x").endswith(b"x"), what="an answer again")


def _holds_one_more(held):
    """Add a connection; tell whether it was not served at once."""
    try:
        held.add(1, patience=0.5)
    except TimeoutError:
        return True
    return False


@pytest.mark.posix
@pytest.mark.parametrize(("loop", "start_method"), [("asyncio", "spawn"), ("uvloop", "fork")])
def test_a_worker_sleeps_while_its_connections_do(serve, loop, start_method):
    """
    Neither a draining worker nor an orphan burns a processor for what it waits for.
    """
    options = ["-w", "2", "--loop", loop, "--start", start_method]
    server = serve(*options, source=STREAM).ready(2)

    with server.held() as held:
        held.add(8)
        server.result("scale", "1")
        server.until_pool(draining=1)
        assert 0.1 > _spent_in_a_second(server)
        orphans = server.pids()
        server.kill_arbiter()
        until(lambda: _is_refused(held.address), what="a free port")
        assert 0.1 > _spent_in_a_second(server)

    until(lambda: not any(server.is_alive(pid) for pid in orphans), what="their end")


def _spent_in_a_second(server):
    pids = server.pids()
    before = sum(cpu_seconds(pid) for pid in pids)
    pause(1)
    return sum(cpu_seconds(pid) for pid in pids) - before


@each_method
@each_accept
def test_a_default_timeout_is_for_the_users_sockets_alone(serve, start_method, accept):
    """
    ``socket.setdefaulttimeout`` in the target's module: a worker waits for longer than that.
    """
    source = f"import socket\nsocket.setdefaulttimeout(0.2)\n{PID_ECHO}"
    options = ["-w", "2", "--start", start_method, "--accept", accept]
    server = serve(*options, source=source).ready(2)
    before = server.pids()

    assert stays(lambda: server.pids() == before, 0.6)

    assert server.ask(b"x").endswith(b"x")
    assert [] == server.all("worker exited")


@each_kind
def test_a_default_timeout_does_not_end_an_event_loop(serve, kind):
    """
    Nor does it make a loop's worker end.
    """
    source = f"import socket\nsocket.setdefaulttimeout(0.2)\n{SOURCES[kind]}"
    server = serve("-w", "2", source=source).ready(2)
    before = server.pids()

    assert stays(lambda: server.pids() == before, 0.6)

    assert server.ask(b"x").endswith(b"x")


@pytest.mark.versions
@each_loop
@pytest.mark.parametrize("slots", ["pass", '__slots__ = ("transport",)'])
def test_a_protocol_may_hand_over_to_another(serve, loop, slots):
    """
    After ``set_protocol`` the end of the connection is still heard, and its place free again.
    """
    source = f"""
    import asyncio

    class Second(asyncio.Protocol):
        {slots}
        def __init__(self, transport):
            self.transport = transport
        def data_received(self, data):
            self.transport.write(b"second " + data)

    class First(asyncio.Protocol):
        {slots}
        def connection_made(self, transport):
            self.transport = transport
        def data_received(self, data):
            self.transport.set_protocol(Second(self.transport))
            self.transport.write(b"over")

    handle = First
    """
    server = serve("-w", "1", "--concurrency", "1", "--loop", loop, source=source).ready(1)

    for _ in range(3):
        with connect(server.address) as client:
            client.sendall(b"switch")
            assert b"over" == client.recv(10)
            client.sendall(b"x")
            assert b"second x" == client.recv(10)

    until(lambda: server.status()["totals"]["handled"] == 3, what="three ends")
    assert 0 == server.stop()


@pytest.mark.versions
@each_loop
@pytest.mark.parametrize("slots", ["pass", '__slots__ = ("transport",)'])
def test_what_the_user_cancels_or_exits_harms_no_other_connection(serve, loop, slots):
    """
    SystemExit in a protocol is its own failure; and our tasks outlast ``all_tasks`` cancelled.
    """
    source = f"""
    import asyncio, sys

    class Handle(asyncio.Protocol):
        {slots}
        def connection_made(self, transport):
            self.transport = transport
        def data_received(self, data):
            if data == b"exit":
                sys.exit(3)
            if data == b"cancel":
                for task in asyncio.all_tasks():
                    task.cancel()
            self.transport.write(data)

    handle = Handle
    """
    server = serve("-w", "1", "--loop", loop, source=source).ready(1)
    before = server.pids()

    with connect(server.address) as held:
        for order in (b"exit", b"cancel"):
            with connect(server.address) as client:
                client.sendall(order)
                with contextlib.suppress(ConnectionError):
                    client.recv(10)
        held.sendall(b"still")
        assert b"still" == held.recv(10)
        with connect(server.address) as late:
            late.sendall(b"late")
            assert b"late" == late.recv(10)

    assert before == server.pids()
    assert 0 == server.stop()


@pytest.mark.versions
@each_loop
def test_a_stream_can_become_tls(serve, tmp_path, loop):
    """
    ``writer.start_tls`` knows that it is the server's side, as under ``start_server``.
    """
    _make_certificate(tmp_path)
    source = """
    import ssl

    async def handle(reader, writer):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain("cert.pem", "key.pem")
        await reader.readexactly(1)
        writer.write(b"!")
        await writer.start_tls(context)
        writer.write(b"secret " + await reader.read(100))
        await writer.drain()
    """
    server = serve("-w", "1", "--loop", loop, source=source).ready(1)
    context = ssl.create_default_context(cafile=tmp_path / "cert.pem")

    with connect(server.address) as plain:
        plain.sendall(b"!")
        assert b"!" == plain.recv(1)
        with context.wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(b"word")
            assert b"secret word" == read_all(client)

    until(lambda: server.status()["totals"]["handled"] == 1, what="its end")
    assert [] == server.all("handler failed")


def _make_certificate(path):
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    words += ["-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=localhost"]
    words += ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(words, cwd=path, check=True, capture_output=True)


@each_loop
def test_a_client_that_reads_nothing_is_left_after_a_while(serve, loop):
    """
    When its handler has returned, ``timeout`` is the longest time without any progress.
    """
    source = """
    async def handle(reader, writer):
        writer.write(bytes(20_000_000))
    """
    server = serve("-w", "1", "--timeout", "0.5", "--loop", loop, source=source).ready(1)

    with connect(server.address):
        until(lambda: server.status()["totals"]["accepted"] == 1, what="its begin")
        until(lambda: server.status()["totals"]["handled"] == 1, what="its end", limit=20)

    assert [] == server.all("worker hung")


@each_loop
def test_a_client_that_reads_slowly_gets_all(serve, loop, host):
    """
    It may take many times ``timeout``, as long as it goes on.
    """
    source = """
    async def handle(reader, writer):
        writer.write(bytes(30_000_000))
    """
    timeout = 0.8 * max(1.0, host.pace / 4)
    words = ("-w", "1", "--timeout", f"{timeout:.1f}", "--loop", loop)
    server = serve(*words, source=source).ready(1)

    with connect(server.address) as client:
        received = 0
        while data := client.recv(2_500_000, socket.MSG_WAITALL):
            received += len(data)
            pause(timeout / 3)  # in all four times as long as ``timeout``

    assert 30_000_000 == received
    until(lambda: server.status()["totals"]["handled"] == 1, what="its end")
    assert 0 == server.status()["totals"]["failed"]


@pytest.mark.posix
def test_a_forked_child_of_a_handler_ends_as_any_process(serve):
    """
    TERM, which workers leave to the arbiter, ends what a handler has forked.
    """
    source = """
    import os, signal

    def handle(connection, address):
        pid = os.fork()
        if pid == 0:
            signal.pause()
        os.kill(pid, signal.SIGTERM)
        connection.sendall(b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    server = serve("-w", "1", source=source).ready(1)

    assert b"-15" == server.ask()


@pytest.mark.posix
def test_a_loop_may_hold_more_connections_than_files_were_allowed(serve):
    """
    The soft limit of descriptors is raised to what ``--concurrency`` needs.
    """
    prefix = ["prlimit", "--nofile=128:4096"]
    server = serve("-w", "1", "--concurrency", "200", source=STREAM, prefix=prefix).ready(1)

    with server.held() as held:
        held.add(200)

        assert 200 == server.status()["workers"][0]["active"]
    assert [] == server.all("cannot accept")
