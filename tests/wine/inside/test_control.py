"""Operators on the loopback interface: server, client, and what they wait for."""

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from time import perf_counter

import pytest

from prefork.cli.windows_wait import pause, until_gone
from prefork.control.client import Control
from prefork.control.loopback import LoopbackEndpoint
from prefork.control.server import CLIENTS_LIMIT, ControlServer
from prefork.control.token import Secret
from prefork.errors import ControlError
from prefork.platform.socket_pair import socket_pair
from prefork.sockets.addresses import parse_address


class Running:
    """A control server in a thread of its own; it answers with what it was asked, or much."""

    def __init__(self, secret, address="tcp://127.0.0.1:0"):
        self.secret = secret
        self._selector = selectors.DefaultSelector()
        self._ours, self._theirs = socket_pair()
        self._selector.register(self._theirs, selectors.EVENT_READ, None)
        self._server = ControlServer(address, self._selector, self._handle, secret)
        self.address = self._server.address
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @staticmethod
    def _handle(line, reply):
        request = json.loads(line)
        reply({**request, "much": "x" * request.get("size", 0)})

    def _run(self):
        while True:
            for key, _ in self._selector.select(10):
                if key.data is None:
                    self._server.close()
                    self._selector.close()
                    self._theirs.close()
                    return
                key.data()

    def close(self):
        self._ours.close()
        self._thread.join(10)

    def stranger(self):
        address = parse_address(self.address)
        return socket.create_connection((address.host, address.port), 5)


@pytest.fixture
def server(tmp_path):
    """
    A running one.
    """
    server = Running(tmp_path / "server.control")
    yield server
    server.close()


def is_dropped(client):
    with contextlib.suppress(ConnectionError):
        return client.recv(1) == b""
    return True


def test_an_operator_is_answered(server):
    """
    Also with much.
    """
    with Control(server.address, server.secret) as control:
        assert {"command": "a", "much": ""} == control.ask("a")
        assert 5_000_000 == len(control.ask("b", size=5_000_000)["much"])


def test_a_wrong_token_is_refused(server, tmp_path):
    """
    Without a word; the sentence is the client's.
    """
    wrong = tmp_path / "wrong.control"
    Secret.new(server.address).write(wrong)
    with Control(server.address, wrong) as control, pytest.raises(ControlError, match="refused"):
        control.ask("a")
    with server.stranger() as client:
        client.sendall(b'{"command": "a"}\n')

        assert is_dropped(client)


def test_silent_strangers_lock_nobody_out(server):
    """
    They drive out one another.
    """
    with Control(server.address, server.secret) as first, contextlib.ExitStack() as opened:
        strangers = [opened.enter_context(server.stranger()) for _ in range(2 * CLIENTS_LIMIT)]

        assert {"command": "a", "much": ""} == first.ask("a")
        with Control(server.address, server.secret) as second:
            assert {"command": "b", "much": ""} == second.ask("b")
        assert all(is_dropped(each) for each in strangers[:CLIENTS_LIMIT])


def test_the_port_is_the_servers_alone(server):
    """
    Nobody can listen there beside it, whatever he asks for; and its file stays as it is.
    """
    before = server.secret.read_bytes()
    with pytest.raises(OSError):
        LoopbackEndpoint(server.address, server.secret, 5)
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        address = parse_address(server.address)
        with pytest.raises(OSError):
            thief.bind((address.host, address.port))

    assert before == server.secret.read_bytes()


def test_the_end_is_told_and_leaves_nothing(server, tmp_path):
    """
    The file goes; a client that has it open keeps it, and that is no error.
    """
    with Control(server.address, server.secret) as control:
        control.ask("a")
        server.close()
        control.wait_closed()
    assert [] == list(tmp_path.iterdir())

    second = Running(server.secret)
    with open(second.secret, "rb"):
        second.close()
    Running(server.secret).close()
    assert [] == list(tmp_path.iterdir())


def test_no_unix_socket_is_opened(tmp_path):
    """
    A sentence says what would be right.
    """
    with selectors.DefaultSelector() as selector, pytest.raises(OSError, match="tcp://127"):
        ControlServer(r"unix:C:\control", selector, print, tmp_path / "server.control")


def test_a_process_is_waited_for_until_it_is_gone():
    """
    But only for so long; one that is not there is gone.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=pipe) as process:
        with until_gone(process.pid, 0.01):
            pass
        assert process.poll() is None
        with until_gone(process.pid, 20):
            process.stdin.close()
        assert process.poll() is not None
    with until_gone(0x7FFFFFFC, 20):
        pass


def test_ctrl_c_ends_a_wait():
    """
    At once, as a KeyboardInterrupt.
    """
    for wait in (lambda: pause(20), lambda: wait_for_ourselves(20)):
        interrupt = threading.Timer(0.2, signal.raise_signal, [signal.SIGINT])
        begun = perf_counter()
        interrupt.start()
        with pytest.raises(KeyboardInterrupt):
            wait()

        assert perf_counter() - begun < 5
        interrupt.join()


def wait_for_ourselves(limit):
    with until_gone(os.getpid(), limit):
        pass


def test_a_pause_lasts():
    """
    As long as it is to.
    """
    begun = perf_counter()
    pause(0.3)

    assert 0.25 < perf_counter() - begun < 5
