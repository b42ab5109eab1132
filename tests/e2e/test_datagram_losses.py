"""What becomes of datagrams when workers die, hang, come late or leave, and when all ends."""

import os
import signal
import socket
from contextlib import ExitStack
from time import monotonic

import pytest

from rig.datagrams import DatagramLoad, ask_datagram, connect_datagram
from rig.systems import each_accept, each_method, on_posix
from rig.waiting import stays, until

pytestmark = pytest.mark.slow

ECHO = """
import os

def handle(data, address, reply):
    reply(b"%d %s" % (os.getpid(), data))
"""

#: As ECHO, in some milliseconds; each writes down what it begins, and what it has answered.
RECORDED = """
import os, select

def note(what, data):
    book = os.open("book", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    # Of a length that divides a page: a record across two can be torn by SIGKILL.
    os.write(book, (b"%s %d %s" % (what, os.getpid(), data)).ljust(63) + b"\\n")
    os.close(book)

def handle(data, address, reply):
    note(b"begin", data)
    select.select([], [], [], 0.01)
    reply(b"%d %s" % (os.getpid(), data))
    note(b"end", data)
"""

#: Says that it has begun, and goes on when the pipe "gate" is opened.
HELD = """
import os

def handle(data, address, reply):
    reply(b"%d begun" % os.getpid())
    os.close(os.open("gate", os.O_RDONLY))
    reply(b"%d %s" % (os.getpid(), data))
"""

UDP = "udp://127.0.0.1:0"


@pytest.fixture
def datagrams(serve, runtime):
    """
    Starts a server of datagrams: ``datagrams("2", options, source=…)``.
    """

    def start_server(workers, *options, source=ECHO, bind=UDP, **given):
        address = bind.format(path=runtime / "s", name=runtime.name)
        return serve("-w", workers, "--bind", address, *options, source=source, **given)

    return start_server


def book_of(path):
    """Return the ids that were begun, by process, and those that were answered."""
    begun, ended = {}, set()
    for line in (path / "book").read_bytes().splitlines():
        what, pid, message = line.split()
        if what == b"begin":
            assert message not in begun
            begun[message] = int(pid)
        else:
            ended.add(message)
    return begun, ended


@pytest.mark.parametrize(
    ("accept", "bind"),
    [("blocking", UDP), ("exclusive", UDP), ("mutex", UDP), ("blocking", "unixgram:@{name}")],
)
def test_what_is_lost_was_in_a_killed_workers_hands(datagrams, tmp_path, accept, bind):
    """
    Workers are killed under load; every id without an answer was begun by one that was killed.
    """
    server = datagrams("4", "--accept", accept, source=RECORDED, bind=bind).ready(4)
    killed: list[int] = []

    with DatagramLoad(server.address, clients=6) as load:
        load.more(60)
        for _ in range(8):
            # One that has just begun something, so that it is well within its handler.
            victim = victim_of(tmp_path, server.pids() - set(killed))
            server.kill(victim)
            killed.append(victim)
            load.more(15)
        server.ready(4)
        load.more(60)

    begun, _ = book_of(tmp_path)
    assert [] == load.wrong
    assert 0 == load.refused
    assert len(load.lost) <= len(killed)
    # None: it was killed in the instant between the system call and the handler's first word.
    assert {begun.get(message) for message in load.lost} <= {*killed, None}
    assert len(killed) == server.status()["totals"]["crashed"]
    print(f"{len(load.sent)} sent, {len(load.lost)} lost, {len(killed)} killed")


def victim_of(tmp_path, living):
    def newest():
        begun, ended = book_of(tmp_path)
        message, pid = list(begun.items())[-1]
        return pid if pid in living and message not in ended else None

    return until(newest, what="a worker within its handler")


@pytest.mark.windows
@each_accept
def test_scaling_under_load_loses_nothing(datagrams, accept):
    """
    A worker that is told to go answers what it has taken, and takes nothing that it cannot.
    """
    server = datagrams("6", "--accept", accept).ready(6)

    with DatagramLoad(server.address) as load:
        load.more(300)
        for limit in ("2", "6", "1", "5"):
            server.result("scale", limit)
            load.more(200)
            server.ready(int(limit))

    assert ([], [], 0) == (load.lost, load.wrong, load.refused)
    retired = server.all("worker exited")
    assert 9 == len(retired)
    assert {("retired", "exit 0")} == {(event["cause"], event["status"]) for event in retired}


@each_accept
@pytest.mark.parametrize("bind", [UDP, "unixgram:{path}"])
def test_a_stop_answers_all_that_has_come_in(datagrams, tmp_path, accept, bind):
    """
    What waits in the socket when the stop comes is taken and answered; nothing twice.
    """
    # No more than a Unix socket's queue holds by default (net.unix.max_dgram_qlen).
    server = datagrams("2", "--accept", accept, source=RECORDED, bind=bind).ready(2)
    messages = [b"%d" % number for number in range(10)]

    with connect_datagram(server.address) as client:
        for message in messages:
            client.send(message)
        server.signal(signal.SIGTERM)
        answers = [client.recv(100).partition(b" ")[2] for _ in messages]

    assert 0 == server.wait()
    assert messages == sorted(answers, key=int)
    begun, ended = book_of(tmp_path)
    assert set(messages) == set(begun) == ended


@each_accept
def test_a_stop_under_load_loses_nothing_that_was_taken(datagrams, tmp_path, accept):
    """
    Each datagram that a handler has begun is answered; each that came too late was never begun.
    """
    server = datagrams("4", "--accept", accept, source=RECORDED).ready(4)

    with DatagramLoad(server.address, clients=8, patience=2) as load:
        load.more(100)
        assert 0 == server.stop()

    begun, ended = book_of(tmp_path)
    assert set(begun) == ended
    assert set(load.lost) == set(load.sent) - set(begun)
    # Each client had at most one on its way when the door was shut.
    assert len(load.lost) + load.refused <= 2 * load.clients
    assert {"exit 0"} == {event["status"] for event in server.all("worker exited")}


def test_a_busy_worker_answers_while_it_drains(datagrams, tmp_path):
    """
    The descriptor that it hears by is gone; the one that it answers by is not.
    """
    os.mkfifo(tmp_path / "gate")
    server = datagrams("1", source=HELD).ready(1)

    with connect_datagram(server.address) as client:
        client.send(b"x")
        assert client.recv(100).endswith(b" begun")
        server.signal(signal.SIGTERM)
        server.wait_for("worker draining")
        with open(tmp_path / "gate", "wb"):
            assert client.recv(100).endswith(b" x")

    assert 0 == server.wait()


@pytest.mark.parametrize("bind", [UDP, "unixgram:{path}", "unixgram:@{name}"])
def test_nothing_new_comes_in_while_the_server_stops(datagrams, tmp_path, bind):
    """
    A path is gone at once; what is sent all the same is never begun, and the end is told.
    """
    os.mkfifo(tmp_path / "gate")
    server = datagrams("1", source=HELD, bind=bind).ready(1)
    address = server.address

    with connect_datagram(address) as client:
        client.send(b"early")
        begun = client.recv(100)
        server.signal(signal.SIGTERM)
        server.wait_for("worker draining")
        client.send(b"late")
        if "path" in bind:
            with pytest.raises(FileNotFoundError):
                connect_datagram(address)
        with open(tmp_path / "gate", "wb"):
            assert begun.replace(b"begun", b"early") == client.recv(100)
        assert 0 == server.wait()
        with pytest.raises(ConnectionRefusedError):
            client.send(b"after the end")
            client.recv(100)


@pytest.mark.parametrize("accept", ["blocking", "exclusive"])
def test_workers_without_an_arbiter_answer_and_free_the_port(datagrams, tmp_path, accept):
    """
    Killed arbiter: who is at work still answers; when nobody is, the address can be bound.
    """
    os.mkfifo(tmp_path / "gate")
    server = datagrams("3", "--accept", accept, source=HELD).ready(3)
    host, _, port = server.address.removeprefix("udp://").rpartition(":")
    orphans = server.pids()

    with connect_datagram(server.address) as client:
        client.send(b"x")
        busy = int(client.recv(100).split()[0])
        server.kill_arbiter()
        until(lambda: {busy} == set(filter(server.is_alive, orphans)), what="idle ones gone")
        with open(tmp_path / "gate", "wb"):
            assert b"%d x" % busy == client.recv(100)
        until(lambda: not server.is_alive(busy), what="its end")
    server.all_gone()

    # The kernel may close the sockets of a process a moment after its end.
    until(lambda: _is_free(host, int(port)), what="a free address")


@pytest.mark.parametrize(
    ("accept", "bind"), [("auto", UDP), ("exclusive", UDP), ("auto", "unixgram:{path}")]
)
def test_the_pool_follows_the_datagrams_that_are_held(datagrams, tmp_path, accept, bind):
    """
    ``1..4`` with slow handlers grows to 4, and comes back.
    """
    os.mkfifo(tmp_path / "gate")
    options = ["--accept", accept, "--scale-down-delay", "0.3"]
    server = datagrams("1..4", *options, source=HELD, bind=bind).appear()
    server.ready(1)

    with ExitStack() as stack:
        clients = [stack.enter_context(connect_datagram(server.address)) for _ in range(4)]
        for client in clients:
            client.send(b"x")
        pids = {int(client.recv(100).split()[0]) for client in clients}
        assert 4 == len(pids)
        server.until_pool(ready=4, busy=4)
        with open(tmp_path / "gate", "wb"):
            for client in clients:
                assert client.recv(100).endswith(b" x")
            server.until_pool(ready=1, busy=0, draining=0)
    assert {"retired"} == {event["cause"] for event in server.all("worker exited")}


@pytest.mark.windows
@pytest.mark.parametrize("bind", [UDP, on_posix("unixgram:@{name}")])
@each_method
def test_on_demand_the_first_datagram_starts_a_worker_and_is_answered(
    datagrams, start_method, bind
):
    """
    ``0..2``: nobody is there, the datagram waits, a worker comes for it; then nobody again.
    """
    options = ["--start", start_method, "--scale-down-delay", "0.3"]
    server = datagrams("0..2", *options, bind=bind).appear()
    until(lambda: server.status()["state"] == "running", what="a server that runs")
    assert [] == server.status()["workers"]

    for _ in range(2):
        assert ask_datagram(server.address, b"first").endswith(b" first")
        server.until_pool(ready=0, starting=0, draining=0)
    assert 0 == server.stop()


@pytest.mark.windows
@each_method
def test_a_hung_handler_is_recorded_and_its_worker_replaced(datagrams, start_method):
    """
    As for connections: the incident names the line; the other worker answers meanwhile.
    """
    source = ECHO + '    if data == b"hang":\n        while True: pass  # guilty\n'
    options = ["--timeout", "0.5", "--start", start_method]
    server = datagrams("2", *options, source=source).ready(2)

    with connect_datagram(server.address) as client:
        client.send(b"hang")
        hung = int(client.recv(100).split()[0])
        client.send(b"x")
        assert hung != int(client.recv(100).split()[0])
        peer = "{}:{}".format(*client.getsockname())

    event = server.wait_for("worker hung")
    assert (hung, peer) == (event["pid"], event["peer"])
    guilty = source[: source.index("# guilty")].count("\n") + 1
    assert event["where"].endswith(f"app.py:{guilty})")
    server.wait_for("worker exited", pid=hung, cause="hung")
    server.ready(2)
    assert ask_datagram(server.address, b"x").endswith(b" x")


@pytest.mark.windows
@each_method
def test_what_comes_before_a_worker_is_ready_waits_for_it(datagrams, start_method):
    """
    A slow start keeps the clients waiting, and loses nothing.
    """
    source = "import threading\nthreading.Event().wait(1.0)\n" + ECHO
    server = datagrams("2", "--start", start_method, source=source).appear()
    began = monotonic()

    with connect_datagram(server.address) as client:
        for number in range(8):
            client.send(b"%d" % number)
        answers = {int(client.recv(100).split()[1]) for _ in range(8)}

    assert set(range(8)) == answers
    assert monotonic() - began > 0.3


def test_a_client_that_does_not_read_holds_up_no_other(datagrams):
    """
    Answers to a Unix client wait while its queue is full, in one worker; none of them is lost.
    """
    source = ECHO.replace(
        "    reply", "    for _ in range(60 if data == b'many' else 1):\n        reply"
    )
    server = datagrams("2", "--accept", "exclusive", source=source, bind="unixgram:@{name}")
    server.ready(2)

    # Not connected: only then does the client's queue have a limit of its own.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.bind("")
        client.settimeout(10)
        client.sendto(b"many", "\0" + server.address.removeprefix("unixgram:@"))
        server.until_pool(busy=1)
        for _ in range(20):
            assert ask_datagram(server.address, b"x").endswith(b" x")
        assert stays(lambda: server.status()["pool"]["busy"] == 1, 0.1)
        assert 60 == sum(client.recv(100).endswith(b" many") for _ in range(60))
    server.until_pool(busy=0)


def test_a_process_that_a_handler_forks_keeps_no_address(datagrams, tmp_path):
    """
    Neither the descriptor to hear by, nor the one to answer by.
    """
    source = """
        import os, select

        def handle(data, address, reply):
            if os.fork() == 0:
                select.select([], [], [], 30)
                os._exit(0)
            reply(b"forked")
    """
    server = datagrams("1", source=source).ready(1)
    host, _, port = server.address.removeprefix("udp://").rpartition(":")
    assert b"forked" == ask_datagram(server.address)

    assert 0 == server.stop()

    # The kernel may close the sockets of a process a moment after its end.
    until(lambda: _is_free(host, int(port)), what="a free address")


def _is_free(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as successor:
        try:
            successor.bind((host, port))
        except OSError:
            return False
    return True
