"""The operator commands against a server on the loopback interface, which asks for a token."""

import contextlib
import json
import selectors
import socket
import subprocess
import sys
import threading

import pytest

from prefork.cli import main
from prefork.cli.stop import until_gone
from prefork.control.client import Control
from prefork.control.server import ControlServer
from prefork.control.token import Secret
from prefork.errors import ControlError


class Running:
    """A control server in a thread of its own; it answers with what it was asked."""

    def __init__(self, secret, address="tcp://127.0.0.1:0"):
        self._selector = selectors.DefaultSelector()
        self._ours, theirs = socket.socketpair()
        self._selector.register(theirs, selectors.EVENT_READ, theirs)
        self._server = ControlServer(address, self._selector, self._handle, secret)
        self.address = self._server.address
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @staticmethod
    def _handle(line, reply):
        reply(json.loads(line))

    def _run(self):
        with contextlib.ExitStack() as opened:
            opened.callback(self._selector.close)
            opened.callback(self._server.close)
            while True:
                for key, _ in self._selector.select(10):
                    if isinstance(key.data, socket.socket):
                        key.data.close()
                        return
                    key.data()

    def close(self):
        self._ours.close()
        self._thread.join(5)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """
    The directory of the run files, with files that belong to no server.
    """
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    home = tmp_path / "prefork"
    home.mkdir(mode=0o700)
    return home


@pytest.fixture
def server(home):
    """
    A running server with the name "one.two".
    """
    server = Running(home / "one.two.control")
    yield server
    server.close()


def test_the_token_is_found_by_the_address(server, home, capsys):
    """
    Among the files of other servers, and other files with similar names.
    """
    Secret.new("tcp://127.0.0.1:1").write(home / "a.control")
    (home / "b.control").write_text("nonsense")
    (home / "c.control").mkdir()
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(home / "d.control"))

        code = main(["dump", "7", "--json", "--control", server.address])

    assert (0, {"command": "dump", "slot": 7}) == (code, json.loads(capsys.readouterr().out))


def test_a_server_without_a_token_is_not_connected_to(home, capsys):
    """
    The sentence names the directories that were searched.
    """
    code = main(["why", "--control", "tcp://127.0.0.1:1"])

    assert code == 6
    error = capsys.readouterr().err
    assert "there is no token for a server at tcp://127.0.0.1:1 in" in error
    assert str(home) in error


def test_a_directory_that_others_can_write_to_has_no_tokens(server, home, capsys):
    """
    They could redirect the command to any address.
    """
    home.chmod(0o777)

    assert 6 == main(["why", "--control", server.address])
    assert "there is no token" in capsys.readouterr().err


def test_a_wrong_token_is_refused(server, home):
    """
    The sentence names the file.
    """
    wrong = home / "wrong.control"
    Secret.new(server.address).write(wrong)

    with Control(server.address, wrong) as control, pytest.raises(ControlError) as refused:
        control.ask("status")
    assert f"the server at {server.address} refused the token in {wrong}" in str(refused.value)


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file"), (b"{}", "missing"), (b"x", "malformed")]
)
def test_a_token_that_cannot_be_read_is_a_sentence(server, home, content, reason):
    """
    No connection is made then.
    """
    path = home / "other.control"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ControlError, match=f"cannot be read from {path}: .*{reason}"):
        Control(server.address, path)


def test_a_server_that_is_gone_cannot_be_reached(home):
    """
    Although its token still exists.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    path = home / "dead.control"
    Secret.new(address).write(path)

    with pytest.raises(ControlError, match=f"cannot reach the server at {address}: Conn"):
        Control(address, path)


def test_an_operator_waits_for_the_end(server, home):
    """
    The end of the connection is the end of the server.
    """
    with Control(server.address, home / "one.two.control") as control:
        assert {"command": "stop"} == control.ask("stop")
        server.close()
        control.wait_closed()

    assert [] == list(home.iterdir())


@pytest.mark.parametrize(
    "address", ["tcp://0.0.0.0:1", "tcp://localhost:1", "tcp://[::1]:1", "udp://127.0.0.1:1", "x"]
)
def test_only_the_loopback_is_accepted(address, capsys):
    """
    The sentence names the alternative.
    """
    assert 2 == main(["why", "--control", address])
    assert "it must be unix:PATH, unix:@NAME or tcp://127.0.0.1:PORT" in capsys.readouterr().err


HOLDER = """
import os, sys
from prefork.ipc import run_files
from prefork.ipc.scoreboard import Description, Scoreboard
path, control = sys.argv[1:]
fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
board = Scoreboard.create(fd)
board.header.pid = os.getpid()
board.description = Description("one.two", control=control)
run_files.hold(fd)
print("held", flush=True)
sys.stdin.read()
"""


def test_the_token_is_beside_the_servers_scoreboard(home, server, capsys):
    """
    Its name may have dots.
    """
    command = [sys.executable, "-c", HOLDER, home / "one.two.scoreboard", server.address]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as holder:
        assert b"held\n" == holder.stdout.readline()

        code = main(["dump", "--json", "--name", "one.two"])
        holder.stdin.close()

    assert (0, {"command": "dump", "slot": None}) == (code, json.loads(capsys.readouterr().out))


def test_a_process_is_waited_for_until_it_is_gone():
    """
    But only up to the limit.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=pipe) as process:
        with until_gone(process.pid, 0.01):
            pass
        assert process.poll() is None
        with until_gone(process.pid, 20):
            process.stdin.close()
        assert process.poll() is not None
