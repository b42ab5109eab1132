"""The control socket of either family in a real selector loop."""

import contextlib
import json
import os
import resource
import selectors
import socket

import pytest

from prefork.control.server import CLIENTS_LIMIT, GREETING_LIMIT, REQUEST_LIMIT, ControlServer
from prefork.control.token import Secret
from prefork.errors import ControlError
from prefork.sockets.addresses import parse_address


class Loop:
    """A selector, and a server that answers what it is asked."""

    def __init__(self, address, secret=None):
        self.secret = secret
        self.selector = selectors.DefaultSelector()
        self.requests = []
        self.replies = []
        self.server = ControlServer(address, self.selector, self.handle, secret)

    def handle(self, line, reply):
        try:
            request = dict(json.loads(line))
        except (ValueError, TypeError) as error:
            raise ControlError(f"not a JSON object: {error}") from error
        self.requests.append(request)
        match request.get("command"):
            case "later":
                self.replies.append(reply)
            case "big":
                reply({"big": "x" * request["size"]})
            case "refuse":
                raise ControlError("not today")
            case _:
                reply({"echo": request})

    def turn(self, patience=0.0):
        for key, _ in self.selector.select(patience):
            key.data()

    def turns(self):
        while self.selector.select(0):
            self.turn()

    def close(self):
        self.server.close()
        self.selector.close()

    def client(self):
        """Return a socket that can be connected, with ``connect``."""
        is_unix = self.server.address.startswith("unix:")
        client = socket.socket(socket.AF_UNIX if is_unix else socket.AF_INET)
        client.settimeout(2)
        return client

    def connect(self, client):
        address = parse_address(self.server.address)
        name = "\0" + address.path[1:]
        client.connect(name if address.scheme == "unix" else (address.host, address.port))

    @property
    def greeting(self):
        return Secret.read(self.secret).greeting() if self.secret else b""


@pytest.fixture(params=["unix", "tcp"])
def loop(request, tmp_path):
    """
    A server on an endpoint where the system identifies clients, or where clients send a token.
    """
    if request.param == "unix":
        loop = Loop(f"unix:@prefork-{os.getpid()}-{tmp_path.name}")
    else:
        loop = Loop("tcp://127.0.0.1:0", tmp_path / "server.control")
    yield loop
    loop.close()


@pytest.fixture
def guarded(tmp_path):
    """
    A server that requires a token.
    """
    loop = Loop("tcp://127.0.0.1:0", tmp_path / "server.control")
    yield loop
    loop.close()


@pytest.fixture
def operator(loop):
    """
    A connected client that the server has accepted as an operator.
    """
    with connected(loop) as client:
        yield client


def connected(loop):
    client = stranger(loop)
    client.sendall(loop.greeting)
    loop.turns()
    return client


def stranger(loop):
    client = loop.client()
    loop.connect(client)
    loop.turns()
    return client


def is_dropped(client):
    """Whether the server has closed the connection without an answer."""
    with contextlib.suppress(ConnectionResetError):  # it had not read all
        return client.recv(1) == b""
    return True


def answers(client):
    return [json.loads(line) for line in client.recv(1 << 20).splitlines()]


def test_a_request_is_answered(loop, operator):
    """
    One object a line each way.
    """
    operator.sendall(b'{"command": "status"}\n')
    loop.turns()

    assert [{"ok": True, "result": {"echo": {"command": "status"}}}] == answers(operator)


def test_several_requests_may_come_at_once_or_in_pieces(loop, operator):
    """
    They are answered in order.
    """
    for piece in (b'{"a": 1}\n{"a": ', b"2}\n{", b'"a": 3}\n'):
        operator.sendall(piece)
        loop.turns()

    assert [1, 2, 3] == [answer["result"]["echo"]["a"] for answer in answers(operator)]


def test_an_answer_may_come_later(loop, operator):
    """
    Meanwhile others are served.
    """
    operator.sendall(b'{"command": "later"}\n{"a": 2}\n')
    loop.turns()
    assert [2] == [answer["result"]["echo"]["a"] for answer in answers(operator)]

    loop.replies[0]({"at": "last"})

    assert [{"ok": True, "result": {"at": "last"}}] == answers(operator)


def test_an_answer_to_a_disconnected_client_is_dropped(loop, operator):
    """
    It has no other effect.
    """
    operator.sendall(b'{"command": "later"}\n')
    loop.turns()
    operator.close()
    loop.turns()

    loop.replies[0]({"too": "late"})


@pytest.mark.parametrize("line", [b"", b"x", b"1", b"\xff", b'"text"'])
def test_a_malformed_request_is_answered(loop, operator, line):
    """
    What the handler does not understand is refused, and the connection stays open.
    """
    operator.sendall(line + b'\n{"a": 1}\n')
    loop.turns()

    first, second = answers(operator)
    assert not first["ok"]
    assert "not a JSON object" in first["error"]
    assert second["ok"]


def test_a_refusal_is_a_sentence(loop, operator):
    """
    The text of the handler's exception is the operator's answer.
    """
    operator.sendall(b'{"command": "refuse"}\n')
    loop.turns()

    assert [{"ok": False, "error": "not today"}] == answers(operator)


def test_a_big_answer_does_not_block_the_loop(loop, operator):
    """
    The part that the client does not read yet waits; the loop continues.
    """
    size = 5_000_000
    operator.sendall(b'{"command": "big", "size": %d}\n' % size)
    loop.turn(1)

    received = b""
    while not received.endswith(b"\n"):
        loop.turn()
        received += operator.recv(1 << 20)

    assert size == len(json.loads(received)["result"]["big"])


def test_a_request_over_the_limit_is_dropped(loop, operator):
    """
    Beyond the limit the client is disconnected.
    """
    operator.setblocking(False)
    sent = 0
    while sent <= 2 * REQUEST_LIMIT:
        try:
            sent += operator.send(b"x" * 65536)
        except BlockingIOError:
            pass
        except OSError:
            break
        loop.turn()
    loop.turns()

    assert [] == loop.requests
    with pytest.raises(OSError):
        operator.send(b"more")


def test_the_number_of_clients_is_limited(loop):
    """
    Beyond the limit the oldest client is dropped: silent clients lock out no other.
    """
    clients = [connected(loop) for _ in range(CLIENTS_LIMIT + 1)]
    clients[-1].sendall(b"{}\n")
    loop.turns()

    assert b"" == clients[0].recv(1)
    assert answers(clients[-1])[0]["ok"]
    for client in clients:
        client.close()


def test_without_descriptors_one_operator_is_served_and_the_loop_does_not_spin(loop):
    """
    The reserve is for one operator; the next one waits, and is served when that one disconnects.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    clients = [loop.client() for _ in range(2)]
    greeting = loop.greeting
    used = max(int(fd) for fd in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
    fillers = []
    try:
        with contextlib.suppress(OSError):
            while True:
                fillers.append(os.dup(0))
        for client in clients:
            loop.connect(client)
            client.sendall(greeting + b"{}\n")
        loop.turns()
        assert answers(clients[0])[0]["ok"]
        assert [] == loop.selector.select(0)

        clients[0].close()
        loop.turns()
        assert answers(clients[1])[0]["ok"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in fillers:
            os.close(fd)
        clients[1].close()


def test_a_path_is_for_its_owner_and_goes_at_the_end(tmp_path):
    """
    Mode 600 from the first moment, and no file afterwards.
    """
    path = tmp_path / "c"
    loop = Loop(f"unix:{path}")
    mode = path.stat().st_mode & 0o777
    loop.close()

    assert 0o600 == mode
    assert not path.exists()


def test_a_dead_servers_path_is_taken_over(tmp_path):
    """
    A socket on which no process listens is replaced.
    """
    path = tmp_path / "c"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    loop = Loop(f"unix:{path}")
    loop.close()


@pytest.mark.parametrize("other", ["server", "file"])
def test_a_live_socket_or_another_file_is_not_removed(tmp_path, other):
    """
    An OSError, and the path is unchanged.
    """
    path = tmp_path / "c"
    if other == "file":
        path.write_text("precious")
        with pytest.raises(OSError):
            Loop(f"unix:{path}")
        assert "precious" == path.read_text()
        return
    loop = Loop(f"unix:{path}")
    with pytest.raises(OSError):
        Loop(f"unix:{path}")
    assert path.exists()
    loop.close()


def test_a_token_and_requests_may_come_in_pieces_or_at_once(guarded):
    """
    It is a line like any other, but there is no answer to it.
    """
    with stranger(guarded) as client:
        for byte in guarded.greeting[:-1]:
            client.sendall(bytes([byte]))
            guarded.turns()
        client.sendall(guarded.greeting[-1:] + b'{"a": 1}\n{"a": 2}\n')
        guarded.turns()

        assert [1, 2] == [answer["result"]["echo"]["a"] for answer in answers(client)]


@pytest.mark.parametrize(
    "line",
    [
        b'{"command": "stop"}',
        b"",
        b"GET / HTTP/1.1",
        b'{"token": ""}',
        b'{"token": "' + b"0" * 64 + b'"}',
        b'{"token": "gr\xc3\xbc\xc3\x9fe"}',
        b'{"token": 1}',
        b"[]",
        b"\xff",
    ],
)
def test_a_client_without_the_token_is_dropped(guarded, line):
    """
    Without an answer, and its requests have no effect.
    """
    with stranger(guarded) as client:
        client.sendall(line + b'\n{"a": 1}\n' + guarded.greeting + b'{"a": 2}\n')
        guarded.turns()

        assert is_dropped(client)
    assert [] == guarded.requests


def test_a_line_that_is_too_long_for_a_token_is_dropped(guarded):
    """
    It is not even decoded; without an end of line, the client is disconnected.
    """
    padding = b" " * GREETING_LIMIT
    for words in (padding + guarded.greeting, padding + b" "):
        with stranger(guarded) as client:
            client.sendall(words)
            guarded.turns()

            assert is_dropped(client)


def test_clients_without_the_token_displace_only_one_another(guarded):
    """
    However many connect silently, an operator stays connected, and another one can connect.
    """
    first = connected(guarded)
    strangers = [stranger(guarded) for _ in range(3 * CLIENTS_LIMIT)]
    second = connected(guarded)
    for operator in (first, second):
        operator.sendall(b"{}\n")
    guarded.turns()

    assert all(answers(operator)[0]["ok"] for operator in (first, second))
    assert all(is_dropped(each) for each in strangers[: 2 * CLIENTS_LIMIT])
    for client in (first, second, *strangers):
        client.close()


def test_clients_without_the_token_lose_their_descriptors_first(guarded):
    """
    When no descriptor is left, theirs are closed first.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    greeting, client = guarded.greeting, guarded.client()
    strangers = [stranger(guarded) for _ in range(3)]
    used = max(int(fd) for fd in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
    fillers = []
    try:
        with contextlib.suppress(OSError):
            while True:
                fillers.append(os.dup(0))
        guarded.connect(client)
        client.sendall(greeting + b"{}\n")
        guarded.turns()

        assert answers(client)[0]["ok"]
        assert is_dropped(strangers[0])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in fillers:
            os.close(fd)
        for each in (client, *strangers):
            each.close()


def test_a_client_that_disconnects_at_once_has_no_effect(loop):
    """
    Before it is accepted, or right after.
    """
    for _ in range(5):
        with loop.client() as client:
            loop.connect(client)
        loop.turns()
    with connected(loop) as operator:
        operator.sendall(b"{}\n")
        loop.turns()

        assert answers(operator)[0]["ok"]
