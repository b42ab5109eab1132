"""The examples run as they stand, and the clients that people have can talk to them."""

import os
import re
import signal
import smtplib
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest

from rig.clients import connect, in_background, read_all, read_line
from rig.programs import found
from rig.waiting import until

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
EXAMPLES = TESTS.parent / "examples"
LOOPS = ["asyncio", "uvloop"]
DATA = bytes(range(256)) * 8192  # more than the buffers of a connection hold


@pytest.fixture
def example(start):
    """
    Serves an example: ``example("kv.py", "-w", "2")``.
    """

    def serve_example(target, *options, **others):
        return start("serve", str(EXAMPLES / target), *options, **others)

    return serve_example


def test_every_example_is_used_by_a_test():
    """
    A file in examples/ that no test names could stop working, and nobody would notice.
    """
    tests = "".join(path.read_text() for path in TESTS.rglob("*.py"))
    files = [path for path in EXAMPLES.rglob("*") if path.is_file() and path.suffix != ".pyc"]

    assert len(files) > 8
    assert [] == [path.name for path in files if path.name not in tests]


# One for each kind


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("echo_stream.py", ["--threads", "4"]),
        ("echo_asyncio.py", ["--loop", "asyncio"]),
        ("echo_asyncio.py", ["--loop", "uvloop"]),
        ("echo_protocol.py:Echo", ["--loop", "asyncio"]),
        ("echo_protocol.py:Echo", ["--loop", "uvloop"]),
    ],
)
def test_the_echo_examples(example, target, options):
    """
    Each sends two MiB back, to several clients at a time, and leaves when it is asked to.
    """
    server = example(target, "-w", "2", *options).ready(2)

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: _echoed(server.address), range(8)))

    assert [True] * 8 == [answer == DATA for answer in answers]
    until(lambda: server.status()["totals"]["handled"] == 8)
    assert 0 == server.status()["totals"]["failed"]
    assert 0 == server.stop()


def _echoed(address):
    with connect(address) as client:

        def send():
            client.sendall(DATA)
            client.shutdown(socket.SHUT_WR)

        with in_background(send):
            return read_all(client)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("target", ["echo_asyncio.py", "echo_protocol.py:Echo"])
def test_a_client_that_does_not_read_fills_no_memory(example, target, loop):
    """
    The examples stop reading from whoever does not take the answers; others are served.
    """
    server = example(target, "-w", "1", "--loop", loop).ready(1)
    with connect(server.address, 1) as greedy, pytest.raises(TimeoutError):
        for _ in range(64):
            greedy.sendall(DATA)

    assert b"still here" == server.ask(b"still here")


def test_the_greeter(example):
    """
    The example of a stream in the guide: an answer for each line.
    """
    server = example("hello.py", "-w", "1").ready(1)

    assert b"Hello, Ada!\nHello, Bob!\n" == server.ask(b"Ada\nBob\n")


def test_the_socketserver_example(example):
    """
    Lines come back in capitals.
    """
    server = example("socketserver_upper.py:Upper", "-w", "1").ready(1)

    assert b"LOUDER\n" == server.ask(b"louder\n")


def test_the_program_counts_its_own_clients(example):
    """
    Two workers, ten clients: each worker counts those that it served.
    """
    server = example("program_counter.py", "-w", "2").ready(2)
    answers = [server.ask().decode() for _ in range(10)]

    numbers = {slot: [n for s, n in map(_counted, answers) if s == slot] for slot in (0, 1)}

    assert 10 == sum(map(len, numbers.values()))
    assert all(taken == list(range(1, len(taken) + 1)) for taken in numbers.values())


def _counted(answer):
    return tuple(int(number) for number in re.findall(r"\d+", answer))


# The key-value server


@pytest.fixture
def store(example, tmp_path):
    """
    Serves the key-value example, with its data in the test's directory.
    """

    def serve_store(*options):
        return example("kv.py", *options, env={"KV_FILE": str(tmp_path / "kv.sqlite3")})

    return serve_store


def redis_cli(address, *words):
    """Return what redis-cli prints."""
    return run(found("redis-cli"), "-p", port_of(address), *words)


def run(*command):
    """Run a client to its end; return what it prints."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100
    )
    assert (0, "") == (done.returncode, done.stderr), done.stdout
    return done.stdout


def port_of(address):
    return address.rpartition(":")[2]


@pytest.mark.parametrize("loop", LOOPS)
def test_redis_cli_talks_to_the_key_value_server(store, loop):
    """
    What people try first, each command over a connection, and so a worker, of its own.
    """
    server = store("-w", "2", "--loop", loop).ready(2)
    conversation = {
        "ping": "PONG",
        "set greeting hello": "OK",
        "get greeting": "hello",
        "get nothing": "",
        "exists greeting nothing": "1",
        "incr greeting": "ERR value is not an integer or out of range",
        "incr count": "1",
        "incrby count 41": "42",
        "decr count": "41",
        "mset a 1 b 2": "OK",
        "mget a b nothing": "1\n2",
        "del a b nothing": "2",
        "dbsize": "2",
        "select 1": "ERR DB index is out of range",
        "get": "ERR wrong number of arguments for 'get' command",
        "hset a b c": "ERR unknown command 'hset'",
        "echo": "ERR wrong number of arguments for 'echo' command",
    }

    answers = {words: redis_cli(server.address, *words.split()) for words in conversation}

    assert conversation == {words: answer.strip() for words, answer in answers.items()}


@pytest.mark.parametrize("workers", ["1", "8"])
def test_redis_benchmark_runs_against_the_key_value_server(store, workers):
    """
    Each of its tests to the end; 50 clients count to 5,120 together, whoever serves them.
    """
    server = store("-w", workers).ready(int(workers))
    command = [found("redis-benchmark"), "-p", port_of(server.address), "-n", "2560", "--csv"]
    for more in ([], ["-P", "16"]):
        lines = run(*command, "-t", "ping,set,get,incr,mset", *more).splitlines()[1:]
        names = [line.split('"')[1] for line in lines]

        assert ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"] == names

    assert "5120\n" == redis_cli(server.address, "get", "counter:__rand_int__")
    used = [worker["accepted"] for worker in server.status()["workers"]]
    assert min(used) > 0
    assert 0 == server.status()["totals"]["failed"]
    assert 0 == server.stop()


def test_what_one_worker_stores_the_others_find(store):
    """
    Eight held connections on four workers: every value is there as soon as its SET is answered.
    """
    server = store("-w", "4").ready(4)
    with ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(8)]
        for number, client in enumerate(clients):
            assert b"+OK" == _asked(client, b"SET key%d value%d\r\n" % (number, number))
            for other in clients:
                other.sendall(b"GET key%d\r\n" % number)
                assert b"$6" == read_line(other)[:2].rstrip(b"\r")
                assert b"value%d" % number == read_line(other).rstrip(b"\r")
        busy = [worker["active"] for worker in server.status()["workers"]]

    assert 8 == sum(busy)
    assert sum(held > 0 for held in busy) > 1


def _asked(client, request):
    client.sendall(request)
    return read_line(client).rstrip(b"\r")


def test_requests_may_come_in_any_pieces(store):
    """
    Byte by byte, or many at once; values are any bytes; QUIT ends it.
    """
    server = store("-w", "1").ready(1)
    value = bytes(range(256))
    requests = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$256\r\n" + value + b"\r\n"
    requests += b"PING\r\n\r\n*2\r\n$3\r\nget\r\n$1\r\nk\r\nQUIT\r\nSET k 2\r\n"
    expected = b"+OK\r\n+PONG\r\n$256\r\n" + value + b"\r\n+OK\r\n"

    assert expected == server.ask(requests)
    with server.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in requests.partition(b"SET k 2")[0]:
            client.sendall(bytes([byte]))
        assert expected == read_all(client)


@pytest.mark.parametrize(
    "request_", [b"*x\r\n", b"*1\r\n:4\r\n", b"*1\r\n$-1\r\n", b"x" * (2 << 20)]
)
def test_what_is_no_request_ends_the_connection(store, request_):
    """
    With an error that says why; the server lives on.
    """
    server = store("-w", "1").ready(1)
    with server.connect() as client:
        client.sendall(request_)
        answer = client.recv(1000)

    assert answer.startswith(b"-ERR Protocol error: ")
    assert b"+PONG\r\n" == server.ask(b"PING\r\n")


def test_a_killed_worker_takes_nothing_along_that_was_answered(store):
    """
    Clients count while workers are killed: each answered INCR is in the sum, none is in it twice.
    """
    server = store("-w", "3").ready(3)
    over = threading.Event()
    answered: list[bytes] = []
    unsure: list[bytes] = []

    def count():
        while not over.is_set():
            try:
                with server.connect() as client:
                    while not over.is_set():
                        client.sendall(b"INCR n\r\n")
                        line = read_line(client)
                        (answered if line.endswith(b"\r") else unsure).append(line)
                        if not line:
                            break
            except OSError:
                unsure.append(b"")

    def more_than(goal):
        until(lambda: len(answered) > goal, what="answers")

    with in_background(*[count] * 4):
        for killed in range(1, 6):
            more_than(len(answered) + 100)
            os.kill(server.workers()[killed % 3], signal.SIGKILL)
            server.wait_for("worker exited", count=killed, cause="crashed")
            server.ready(3)
        over.set()

    total = int(redis_cli(server.address, "get", "n"))
    assert len(answered) <= total <= len(answered) + len(unsure)
    assert len(answered) == len(set(answered))


# The mail server


@pytest.fixture
def post(example, tmp_path):
    """
    Serves the mail example, with its mails in the test's directory.
    """

    def serve_post(*options):
        return example("smtp.py", *options, env={"MAILDIR": str(tmp_path / "mail")})

    return serve_post


def mails(server):
    """Return the mails that were delivered, in the order of their arrival."""
    files = sorted((server.directory / "mail" / "new").glob("*"), key=lambda path: path.name)
    return [message_from_bytes(file.read_bytes(), policy=default) for file in files]


def test_swaks_delivers_a_mail(post):
    """
    A mail client of everyday: envelope, headers and body arrive.
    """
    server = post("-w", "2").ready(2)

    spoken = run(
        *[found("swaks"), "--server", "127.0.0.1", "--port", port_of(server.address)],
        *["--from", "ada@example.org", "--to", "bob@example.org,eve@example.org"],
        *["--header", "Subject: from swaks", "--body", "a line\n.\nanother"],
    )

    assert " 250 Stored as " in spoken
    [mail] = mails(server)
    assert "<ada@example.org>" == mail["Return-Path"]
    assert ["bob@example.org", "eve@example.org"] == mail.get_all("Delivered-To")
    assert "from swaks" == mail["Subject"]
    assert ["a line", ".", "another"] == mail.get_content().split("\n")[:3]


@pytest.mark.parametrize("loop", LOOPS)
def test_smtplib_delivers_many_mails_side_by_side(post, loop):
    """
    Eight clients, five mails each: 40 files, each whole.
    """
    server = post("-w", "2", "--loop", loop).ready(2)
    texts = [f"mail {number} of many, ü\n" * 2000 for number in range(40)]

    def deliver(batch):
        with smtplib.SMTP("127.0.0.1", int(port_of(server.address)), timeout=30) as client:
            for text in batch:
                client.send_message(letter(text))

    with ThreadPoolExecutor(8) as clients:
        list(clients.map(deliver, [texts[first : first + 5] for first in range(0, 40, 5)]))

    assert sorted(texts) == sorted(mail.get_content() for mail in mails(server))
    assert [] == list((server.directory / "mail" / "tmp").iterdir())
    assert min(worker["accepted"] for worker in server.status()["workers"]) > 0
    assert 0 == server.stop()
    assert [] == [*server.all("handler failed"), *server.all("event loop error")]


def letter(text):
    message = EmailMessage()
    message["From"], message["To"] = "ada@example.org", "bob@example.org"
    message.set_content(text)
    return message


def test_a_mail_on_its_way_is_taken_before_the_server_leaves(post):
    """
    Stopped in the middle of DATA, the worker takes the rest, and says that it is stored.
    """
    server = post("-w", "1").ready(1)
    with smtplib.SMTP("127.0.0.1", int(port_of(server.address)), timeout=30) as client:
        client.ehlo()
        client.mail("ada@example.org")
        client.rcpt("bob@example.org")
        client.putcmd("data")
        assert 354 == client.getreply()[0]
        client.send(b"Subject: half\r\n\r\nthe first half,")
        server.signal(signal.SIGTERM)
        server.wait_for("worker draining")
        client.send(b" and the second\r\n.\r\n")
        assert 250 == client.getreply()[0]

    assert 0 == server.wait()
    assert ["the first half, and the second\n"] == [mail.get_content() for mail in mails(server)]


def test_a_mail_that_cannot_be_stored_stays_with_its_client(post):
    """
    The client hears 451, which means: later.
    """
    server = post("-w", "1").ready(1)
    (server.directory / "mail").write_text("a file, where the directory should be")

    with (
        smtplib.SMTP("127.0.0.1", int(port_of(server.address)), timeout=30) as client,
        pytest.raises(smtplib.SMTPDataError) as refused,
    ):
        client.send_message(letter("x"))

    assert 451 == refused.value.smtp_code
