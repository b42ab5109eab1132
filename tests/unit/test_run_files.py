"""Where servers are found."""

import os
import subprocess
import sys

import pytest

from prefork.ipc import run_files
from prefork.ipc.scoreboard import Description, Scoreboard


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """
    The run-time directory that comes first.
    """
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    found = run_files.writable_directory()
    assert found == tmp_path / "run"
    return found


def board_in(directory, name):
    """
    A scoreboard that no process holds; returns its descriptor.
    """
    fd = os.open(directory / f"{name}{run_files.SCOREBOARD}", os.O_RDWR | os.O_CREAT, 0o600)
    board = Scoreboard.create(fd)
    board.header.pid = os.getpid()
    board.description = Description(name, control="unix:/somewhere")
    return fd


HOLDER = """
import os, sys
from prefork.ipc import run_files
fd = os.open(sys.argv[1], os.O_RDWR)
run_files.hold(fd)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_server_lives_as_long_as_its_process_holds_the_scoreboard(directory):
    """
    However it ends, the lock ends with it.
    """
    os.close(board_in(directory, "one"))
    path = directory / f"one{run_files.SCOREBOARD}"
    assert run_files.server_of(path) is None
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLDER, path], stdin=pipe, stdout=pipe) as holder:
        assert b"held\n" == holder.stdout.readline()

        server = run_files.server_of(path)

        assert server is not None
        assert ("one", "unix:/somewhere") == (server.name, server.control)
        assert server in run_files.running_servers()
        holder.kill()
        holder.wait()
    assert run_files.server_of(path) is None


@pytest.mark.parametrize("content", [b"", b"x" * 100])
def test_a_file_that_is_no_scoreboard_is_no_server(directory, content):
    """
    Whatever lies there is passed over.
    """
    path = directory / f"odd{run_files.SCOREBOARD}"
    path.write_bytes(content)

    assert run_files.server_of(path) is None


def test_a_scoreboard_without_text_is_no_server_yet(directory):
    """
    Between its creation and its description.
    """
    path = directory / f"early{run_files.SCOREBOARD}"
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    Scoreboard.create(fd)
    os.close(fd)

    assert run_files.server_of(path) is None


@pytest.mark.parametrize("mode", [0o777, 0o722, 0o770])
def test_a_directory_that_others_may_write_to_is_not_private(tmp_path, mode):
    """
    Somebody else could put a scoreboard there.
    """
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(mode)

    assert not run_files.is_private(place)


def test_a_link_is_not_private(tmp_path):
    """
    Wherever it leads.
    """
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")

    assert run_files.is_private(tmp_path / "real")
    assert not run_files.is_private(tmp_path / "link")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_somebody_elses_is_not_private(tmp_path):
    """
    Even if only its owner may write to it.
    """
    place = tmp_path / "place"
    place.mkdir(mode=0o700)
    os.chown(place, 65534, 65534)

    assert not run_files.is_private(place)


@pytest.mark.parametrize(
    ("name", "stem"), [("echo", "echo"), ("a/b", "a_b"), ("..", ".."), ("", "_"), ("ü x", "__x")]
)
def test_a_name_cannot_lead_out_of_the_directory(name, stem):
    """
    Only letters, digits and a few signs stand in the file's name.
    """
    assert stem == run_files.file_stem(name)
