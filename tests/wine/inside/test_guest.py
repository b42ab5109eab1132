"""A worker without an arbiter, under a parent that is this test."""

import os
import socket
import subprocess
import sys

import pytest

from prefork.platform.windows.api import Mutex

HANDLERS = """
import socketserver

def stream(connection, address):
    connection.sendall(connection.recv(100).upper())

class Request(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.readline().upper())
        self.wfile.write(str(self.server.server_address[1]).encode())

async def loop(reader, writer):
    pass
"""


class House:
    """A parent: it has a mutex and a listener, and starts guests."""

    def __init__(self, directory):
        self.directory = directory
        (directory / "app.py").write_text(HANDLERS)
        self.name = f"house-{os.getpid()}"
        self.mutex = Mutex.create(self.name)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.set_inheritable(True)
        self.port = self.listener.getsockname()[1]

    def start(self, target, *, handle=None):
        handle = self.listener.fileno() if handle is None else handle
        words = ["--accept-mutex-name", self.name, "--target", target, str(handle)]
        info = subprocess.STARTUPINFO(lpAttributeList={"handle_list": [self.listener.fileno()]})
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "prefork.worker.guest", *words],
            cwd=self.directory,
            startupinfo=info,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self):
        with socket.create_connection(("127.0.0.1", self.port), 20) as client:
            client.sendall(b"hello\n")
            client.shutdown(socket.SHUT_WR)
            answer = b""
            while data := client.recv(100):
                answer += data
            return answer

    def close(self):
        self.listener.close()
        self.mutex.close()


@pytest.fixture
def house(tmp_path):
    """
    Everything is closed afterwards.
    """
    made = House(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("target", ["app:stream", "app:Request"])
def test_kinds_for_one_connection_at_a_time_are_served(house, target):
    """
    A function, and a class of socketserver's, whose server knows its address.
    """
    with house.start(target) as guest:
        answers = [house.ask() for _ in range(3)]
        guest.kill()
        guest.stderr.close()

    wanted = b"HELLO\n" + (b"" if target == "app:stream" else str(house.port).encode())
    assert [wanted] * 3 == answers


@pytest.mark.parametrize(
    ("target", "code", "sentence"),
    [
        ("app:loop", 4, "app:loop is of the kind asyncio; a guest serves stream and socketserver"),
        ("app:nothing", 4, "app has no attribute"),
    ],
)
def test_a_target_that_cannot_be_served_is_a_sentence(house, target, code, sentence):
    """
    Exit code 4, as everywhere.
    """
    guest = house.start(target)

    _, said = guest.communicate(timeout=30)
    assert code == guest.returncode
    assert sentence in said


def test_a_handle_that_is_none_is_a_sentence(house):
    """
    Exit code 2.
    """
    guest = house.start("app:stream", handle=4)

    _, said = guest.communicate(timeout=30)
    assert 2 == guest.returncode
    assert "the handle 4 is no inherited socket" in said
