"""Handlers of datagrams: where they are served, what they can answer, how they fail."""

import errno
import os
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from e2e.evenness import busiest_share
from rig.clients import ask
from rig.datagrams import ask_datagram, connect_datagram
from rig.systems import each_method, on_posix, on_windows
from rig.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.windows]

ROOT = Path(__file__).parents[2]

WSAEMSGSIZE = 10040

#: Answers with the worker's process id and the message.
ECHO = """
import os

def handle(data, address, reply):
    reply(b"%d %s" % (os.getpid(), data))
"""

#: Answers with how an attempt to reply has failed.
TRIES = """
late = []

def handle(data, address, reply):
    late.append(reply)
    try:
        if data == b"late":
            late[0](b"")
        else:
            reply(bytes(int(data)))
    except (OSError, RuntimeError) as error:
        reply(f"{type(error).__name__} {getattr(error, 'errno', '')}".encode())
"""

ADDRESSES = [
    "udp://127.0.0.1:0",
    "udp://[::1]:0",
    on_posix("unixgram:{path}"),
    on_posix("unixgram:@{name}"),
]


@pytest.fixture
def echo(serve, runtime):
    """
    Starts an echo server: ``echo(bind, options)``.
    """

    def start_echo(bind="udp://127.0.0.1:0", *options, workers="2", source=ECHO, **given):
        address = bind.format(path=runtime / "s", name=runtime.name)
        server = serve("-w", workers, "--bind", address, *options, source=source, **given)
        return server.ready(int(workers)) if workers.isdigit() else server.appear()

    return start_echo


def pid_of(answer):
    return int(answer.partition(b" ")[0])


@pytest.mark.essential
@pytest.mark.versions
@pytest.mark.parametrize("bind", ADDRESSES)
@pytest.mark.parametrize(
    ("accept", "start_method"),
    [
        on_posix("auto", "fork"),
        on_posix("blocking", "spawn"),
        on_posix("exclusive", "fork"),
        ("mutex", "spawn"),
    ],
)
def test_datagrams_are_answered_on_every_address(echo, bind, accept, start_method, runtime):
    """
    With every way to wait and to start; a stop leaves nothing behind.
    """
    server = echo(bind, "--accept", accept, "--start", start_method)

    with connect_datagram(server.address) as client:
        for number in range(10):
            client.send(b"%d" % number)
            answer = client.recv(100)
            assert answer.endswith(b" %d" % number)
            assert pid_of(answer) in server.pids()
    assert 10 == server.status()["totals"]["accepted"]
    until(lambda: server.status()["totals"]["handled"] == 10, what="10 handled")
    assert "datagram" == server.wait_for("target loaded")["kind"]
    assert 0 == server.stop()
    server.all_gone()
    assert not (runtime / "s").exists()


@pytest.mark.parametrize(
    ("bind", "asked"),
    [
        on_posix("udp://0.0.0.0:0", "udp://127.0.0.5:{}"),
        ("udp://0.0.0.0:0", "udp://127.0.0.1:{}"),
        ("udp://[::]:0", "udp://[::1]:{}"),
    ],
)
@pytest.mark.parametrize(
    "accept", [on_posix("blocking"), on_posix("exclusive"), on_windows("auto")]
)
def test_the_answer_comes_from_the_address_that_was_asked(echo, bind, asked, accept):
    """
    Also where the server listens on all addresses: the client hears no other.
    """
    server = echo(bind, "--accept", accept)
    port = server.address.rpartition(":")[2]

    assert ask_datagram(asked.format(port), b"x").endswith(b" x")


@pytest.mark.posix
def test_a_socket_of_both_families_answers_both(echo):
    """
    An adopted ``[::]`` may take IPv4, too; those answers come from the right address as well.
    """
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as given:
        given.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        given.bind(("::", 0))
        port = given.getsockname()[1]
        echo(f"fd://{given.fileno()}", pass_fds=[given.fileno()])

        for asked in ("127.0.0.5", "[::1]"):
            assert ask_datagram(f"udp://{asked}:{port}", b"x").endswith(b" x")


@pytest.mark.posix
@each_method
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_an_open_socket_for_datagrams_is_adopted(echo, runtime, family, start_method):
    """
    ``fd://N``: told by its type, served, and left to its owner with what waits in it.
    """
    with socket.socket(family, socket.SOCK_DGRAM) as given:
        given.bind(("127.0.0.1", 0) if family == socket.AF_INET else str(runtime / "given"))
        options = ["--start", start_method]
        server = echo(f"fd://{given.fileno()}", *options, pass_fds=[given.fileno()])
        address = server.address
        assert ask_datagram(address, b"x").endswith(b" x")

        assert 0 == server.stop()

        with connect_datagram(address) as client:
            client.send(b"in between")
            assert b"in between" == given.recv(100)


@pytest.mark.posix
def test_passed_sockets_may_be_for_datagrams(serve):
    """
    LISTEN_FDS, as systemd passes them for ListenDatagram=.
    """
    script = (
        "import os, socket, sys\n"
        "for fd in (3, 4):\n"
        "    s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('127.0.0.1', 0))\n"
        "    number = s.detach()\n"
        "    os.dup2(number, fd, inheritable=True) if number != fd else "
        "os.set_inheritable(fd, True)\n"
        "os.environ.update(LISTEN_FDS='2', LISTEN_PID=str(os.getpid()))\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    passing = [sys.executable, "-c", script]
    server = serve("-w", "2", prefix=passing, bind=None, source=ECHO).ready(2)

    assert [True, True] == [each.startswith("udp://127.0.0.1:") for each in server.addresses]
    for address in server.addresses:
        assert ask_datagram(address, b"x").endswith(b" x")
    assert 0 == server.stop()


@pytest.mark.posix
def test_several_addresses_at_once(serve, runtime):
    """
    Two of UDP and one of Unix in one server.
    """
    binds = ["udp://127.0.0.1:0", "udp://[::1]:0", f"unixgram:{runtime / 's'}"]
    options = [word for bind in binds for word in ("--bind", bind)]
    server = serve("-w", "2", *options, source=ECHO).ready(2)

    assert "exclusive" == server.status()["accept"]
    for address in server.addresses:
        for _ in range(5):
            assert ask_datagram(address, b"x").endswith(b" x")
    assert 0 == server.stop()


@pytest.mark.parametrize(
    ("bind", "size"),
    [
        ("udp://127.0.0.1:0", 0),
        ("udp://127.0.0.1:0", 65_507),
        ("udp://0.0.0.0:0", 65_507),
        ("udp://[::1]:0", 65_507),
        on_posix("unixgram:{path}", 0),
        on_posix("unixgram:{path}", 200_000),
    ],
)
def test_a_datagram_is_received_whole(echo, bind, size):
    """
    The longest and the empty one, both ways.
    """
    source = "def handle(data, address, reply):\n    reply(data)\n"
    server = echo(bind, source=source)
    message = os.urandom(size)

    with connect_datagram(server.address.replace("0.0.0.0", "127.0.0.1")) as client:
        client.send(message)
        assert message == client.recv(1 << 18)


def test_an_answer_that_is_too_long_is_the_handlers_error(echo):
    """
    It gets the OSError, and can still answer something else.
    """
    server = echo(source=TRIES)

    assert bytes(10) == ask_datagram(server.address, b"10")
    refused = {b"OSError %d" % errno.EMSGSIZE, b"OSError %d" % WSAEMSGSIZE}
    assert ask_datagram(server.address, b"70000") in refused


def test_an_answer_after_the_handlers_return_is_an_error(echo):
    """
    reply() works while the handler runs, as often as it likes.
    """
    server = echo(source=TRIES, workers="1")

    assert b"" == ask_datagram(server.address, b"0")
    assert b"RuntimeError " == ask_datagram(server.address, b"late")


@pytest.mark.posix
def test_a_client_without_an_address_cannot_be_answered(echo):
    """
    The handler is given None, and reply() says why; one that does not reply is content.
    """
    source = """
        def handle(data, address, reply):
            if address is None and data == b"quiet":
                return
            reply(repr(address).encode())
    """
    server = echo("unixgram:{path}", source=source, workers="1")

    with connect_datagram(server.address, anonymous=True) as client:
        client.send(b"quiet")
        client.send(b"loud")

    failed = server.wait_for("handler failed")
    assert "the client has no address to reply to" in failed["traceback"]
    assert "" == failed["peer"]
    with connect_datagram(server.address) as named:
        named.send(b"x")
        assert repr(named.getsockname()).encode() == named.recv(100)
    until(lambda: server.status()["totals"]["handled"] == 3, what="3 handled")
    assert 1 == server.status()["totals"]["failed"]


def test_an_exception_is_logged_and_counted_and_the_worker_lives(echo):
    """
    As for connections; the log names the client.
    """
    source = ECHO + '    if data == b"bad":\n        raise ValueError("so bad")\n'
    server = echo(source=source, workers="1")

    with connect_datagram(server.address) as client:
        client.send(b"bad")
        before = pid_of(client.recv(100))
        client.send(b"good")
        assert before == pid_of(client.recv(100))
        peer = "{}:{}".format(*client.getsockname())

    failed = server.wait_for("handler failed")
    assert (before, peer) == (failed["pid"], failed["peer"])
    assert "ValueError: so bad" in failed["traceback"]
    until(lambda: server.status()["totals"]["handled"] == 2, what="2 handled")
    assert 1 == server.status()["totals"]["failed"]


def test_threads_take_datagrams_side_by_side(echo):
    """
    ``--threads 3``: three are in progress in one worker, the fourth waits; the peer is shown.
    """
    source = """
        import threading

        three = threading.Barrier(3)

        def handle(data, address, reply):
            three.wait(10)
            reply(data)
            three.wait(10)
    """
    server = echo("udp://127.0.0.1:0", "--threads", "3", workers="1", source=source)
    with ExitStack() as stack:
        clients = [stack.enter_context(connect_datagram(server.address)) for _ in range(2)]
        for client in clients:
            client.send(b"x")
        until(lambda: server.status()["workers"][0]["active"] == 2, what="two in progress")
        names = {"{}:{}".format(*client.getsockname()) for client in clients}
        assert server.status()["workers"][0]["peer"] in names

        assert b"third" == ask_datagram(server.address, b"third")
        assert [b"x", b"x"] == [client.recv(10) for client in clients]


# The kernel wakes all who wait for the mutex, and the first to run has it: a throw of dice, which
# shows only after many, and which a scheduler with much else to do does not throw evenly.  What
# holds everywhere is that no worker takes nearly all; `python -m benchmarks even` measures more.
@pytest.mark.parametrize(
    ("accept", "bind", "most", "each"),
    [
        on_posix("blocking", "udp://127.0.0.1:0", 1.1, 20),
        on_posix("blocking", "unixgram:@{name}", 1.1, 20),
        on_posix("exclusive", "udp://127.0.0.1:0", 1.1, 20),
        ("mutex", "udp://127.0.0.1:0", 1.6, 200),
    ],
)
def test_no_idle_worker_is_much_busier_than_the_mean(echo, accept, bind, most, each):
    """
    One datagram after the other to six idle workers.
    """
    server = echo(bind, "--accept", accept, workers="6")

    with connect_datagram(server.address) as client:

        def ask():
            client.send(b"x")
            return pid_of(client.recv(100))

        assert busiest_share(server, ask, each) <= most


@pytest.mark.parametrize("base", ["DatagramRequestHandler", "BaseRequestHandler"])
@pytest.mark.parametrize(
    "bind", [on_posix("udp://0.0.0.0:0"), "udp://127.0.0.1:0", on_posix("unixgram:{path}")]
)
def test_request_handlers_of_the_standard_library(echo, bind, base):
    """
    Their request is the datagram and a socket, whose answers come from where was asked.
    """
    source = f"""
        import socketserver

        class Handler(socketserver.{base}):
            def handle(self):
                data, sock = self.request
                if hasattr(self, "wfile"):
                    self.wfile.write(data.upper())
                else:
                    sock.sendto(data.upper(), self.client_address)
    """
    server = echo(bind, source=source, target="app:Handler")
    address = server.address.replace("0.0.0.0", "127.0.0.5")

    for _ in range(4):
        assert b"HELLO" == ask_datagram(address, b"hello")
    assert "socketserver" == server.wait_for("target loaded")["kind"]
    assert 0 == server.status()["totals"]["failed"]


def test_a_program_accepts_datagrams_and_connections(serve):
    """
    ``worker.accept()`` yields what comes: sockets, and datagrams with data, address and reply.
    """
    source = """
        def run(worker):
            for taken in worker.accept():
                if hasattr(taken, "reply"):
                    taken.reply(b"datagram of %d: " % taken.address[1] + taken.data)
                else:
                    taken.sendall(b"connection: " + taken.recv(100))
    """
    binds = ["--bind", "udp://127.0.0.1:0", "--bind", "tcp://127.0.0.1:0"]
    server = serve("-w", "2", *binds, source=source, target="app:run").ready(2)
    udp, tcp = server.addresses

    for _ in range(4):
        with connect_datagram(udp) as client:
            client.send(b"x")
            assert b"datagram of %d: x" % client.getsockname()[1] == client.recv(100)
        assert b"connection: x" == ask(tcp, b"x")
    assert 0 == server.stop()


STREAM = "def handle(connection, address): ...\n"
STREAM_REQUESTS = "import socketserver\nclass handle(socketserver.StreamRequestHandler): ...\n"
DATAGRAM_REQUESTS = STREAM_REQUESTS.replace("Stream", "Datagram")
REQUESTS = STREAM_REQUESTS.replace("Stream", "Base")
NEEDS = (
    "an address for datagrams, as udp:// and unixgram: are, needs a handle(data, address, reply)"
)
HAS = "serves datagrams; its addresses are udp://HOST:PORT and unixgram:PATH"


@each_method
@pytest.mark.parametrize(
    ("source", "binds", "sentence"),
    [
        (ECHO, ["tcp://127.0.0.1:0"], HAS),
        on_posix(ECHO, ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"], HAS),
        (STREAM, ["udp://127.0.0.1:0"], NEEDS),
        on_posix(STREAM_REQUESTS, ["udp://127.0.0.1:0"], NEEDS),
        on_posix(DATAGRAM_REQUESTS, ["tcp://127.0.0.1:0"], HAS),
        on_posix(
            REQUESTS, ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"], "at once, whose requests differ"
        ),
    ],
)
def test_a_handler_that_does_not_fit_its_addresses_is_refused(
    serve, host, tmp_path, start_method, source, binds, sentence
):
    """
    Exit 4 with a sentence; ``prefork check`` says the same.
    """
    options = [word for bind in binds for word in ("--bind", bind)]
    server = serve("-w", "2", "--start", start_method, *options, source=source)

    assert 4 == server.wait()
    assert sentence in server.all("target cannot be loaded")[0]["reason"]
    checked = host.operate(server.env, "check", "app", *options, cwd=tmp_path)
    assert 4 == checked.returncode
    assert sentence in checked.stderr


@pytest.mark.posix
def test_status_shows_that_datagrams_wait(echo, tmp_path):
    """
    A number from outside; no limit, which is one of memory.
    """
    source = """
        import os
        def handle(data, address, reply):
            reply(b"begun")
            os.open("gate", os.O_RDONLY)
    """
    os.mkfifo(tmp_path / "gate")
    server = echo(source=source, workers="1")
    assert (0, None) == waiting(server)

    with connect_datagram(server.address) as client:
        client.send(b"x")
        assert b"begun" == client.recv(10)
        for _ in range(9):
            client.send(b"y")

    queued, backlog = waiting(server)
    assert 1 <= queued <= 9
    assert backlog is None
    assert f"{server.address}  queued {queued}\n" in server.operate("status").stdout
    with open(tmp_path / "gate", "wb"):
        until(lambda: waiting(server) == (0, None), what="nobody waiting")


def waiting(server):
    [listener] = server.status()["listeners"]
    return listener["queued"], listener["backlog"]


@pytest.mark.posix
@pytest.mark.skipif(shutil.which("dig") is None, reason="no dig (Debian: bind9-dnsutils)")
def test_the_name_server_of_the_examples_answers_dig(start):
    """
    A real client: names with and without records, of both types, and ten at once.
    """
    server = start("serve", str(ROOT / "examples" / "udp_dns.py"), "-w", "2", bind="udp://:0")
    server.ready(2)
    port = server.address.rpartition(":")[2]

    def dig(*question):
        command = ["dig", "@127.0.0.5", "-p", port, "+tries=1", "+time=5", *question]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert "192.0.2.1\n192.0.2.2\n" == dig("+short", "www.example.test", "A")
    assert '"prefork serves datagrams"\n' == dig("+short", "Example.Test", "TXT")
    assert "" == dig("+short", "www.example.test", "AAAA")
    assert "status: NXDOMAIN" in dig("nowhere.test", "A")
    assert "status: NOTIMP" in dig("+opcode=status", "www.example.test", "A")
    many = ["+short", *(["www.example.test", "A"] * 10)]
    assert 20 == len(dig(*many).splitlines())
    assert 0 == server.status()["totals"]["failed"]


@pytest.mark.posix
def test_the_name_server_of_the_examples_survives_any_message(start):
    """
    What is no question gets no answer, or FORMERR; nothing makes the handler fail.
    """
    server = start("serve", str(ROOT / "examples" / "udp_dns.py"), "-w", "1", bind="udp://:0")
    server.ready(1)
    address = server.address.replace("0.0.0.0", "127.0.0.1")
    header = bytes.fromhex("0007 0100 0001 0000 0000 0000")

    with connect_datagram(address) as client:
        for message in (b"", b"x", bytes(11), header[:2] + b"\x80" + header[3:], os.urandom(9)):
            client.send(message)
        for message in (header, header + b"\x03www", header + b"\xc0\x0c", header + b"\x01\xff\0"):
            client.send(message)
            assert header[:2] + bytes.fromhex("8501 0000 0000 0000 0000") == client.recv(100)
    assert 0 == server.status()["totals"]["failed"]
