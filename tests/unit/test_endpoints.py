"""The loopback endpoint, and the file with its token."""

import contextlib
import os
import re
import socket

import pytest

from prefork.control.loopback import LoopbackEndpoint
from prefork.control.token import Secret
from prefork.sockets.addresses import parse_address


@contextlib.contextmanager
def endpoint(path, address="tcp://127.0.0.1:0"):
    opened = LoopbackEndpoint(address, path, 5)
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "server.control"


def test_the_file_is_private_and_removed_at_the_end(path):
    """
    It holds the address with its port, and a random token; no other file is left beside it.
    """
    with endpoint(path) as opened:
        mode = path.stat().st_mode & 0o777
        secret = Secret.read(path)

        assert 0o600 == mode
        assert opened.address == secret.address
        assert re.fullmatch(r"tcp://127\.0\.0\.1:[1-9][0-9]*", secret.address)
        assert re.fullmatch("[0-9a-f]{64}", secret.token)
        assert [path] == list(path.parent.iterdir())
    assert [] == list(path.parent.iterdir())


def test_the_mode_does_not_depend_on_the_umask(path):
    """
    Even with a permissive umask only the owner can open it.
    """
    former = os.umask(0)
    try:
        with endpoint(path):
            mode = path.stat().st_mode & 0o777
    finally:
        os.umask(former)

    assert 0o600 == mode


def test_a_dead_servers_file_is_replaced(path):
    """
    Not rewritten: a process that has it open, or has made it, gets nothing.
    """
    path.write_text("old")
    path.chmod(0o666)
    with open(path) as old, endpoint(path):
        assert "old" == old.read()
        assert 0o600 == path.stat().st_mode & 0o777


def test_a_link_is_not_followed(path, tmp_path):
    """
    It is replaced as any other file.
    """
    other = tmp_path / "other"
    other.write_text("precious")
    path.symlink_to(other)
    with endpoint(path):
        assert not path.is_symlink()

    assert "precious" == other.read_text()


def test_a_successors_file_stays(path):
    """
    The end of the first server does not take the second's.
    """
    with contextlib.ExitStack() as later:
        with endpoint(path):
            second = later.enter_context(endpoint(path))
        assert second.secret == Secret.read(path)


@pytest.mark.parametrize("content", [None, b"", b"{}", b"nonsense"])
def test_a_file_that_was_removed_or_replaced_is_no_error_at_the_end(path, content):
    """
    The server's end is the same.
    """
    with endpoint(path):
        path.unlink()
        if content is not None:
            path.write_bytes(content)

    assert content == (path.read_bytes() if path.exists() else None)


def test_two_servers_cannot_share_a_port(path, tmp_path):
    """
    The second is refused, and the first's file stays as it is.
    """
    with endpoint(path) as first:
        with pytest.raises(OSError):
            LoopbackEndpoint(first.address, path, 5)

        assert first.secret == Secret.read(path)


def test_a_port_can_be_taken_again_at_once(path):
    """
    Connections that have just ended do not keep it.
    """
    with endpoint(path) as first:
        address = parse_address(first.address)
        with socket.create_connection((address.host, address.port)):
            first.listener.accept()[0].close()  # closed here first: it stays in TIME_WAIT

    with endpoint(path, first.address) as second:
        assert first.address == second.address


@pytest.mark.parametrize(
    "address",
    ["tcp://0.0.0.0:0", "tcp://:0", "tcp://localhost:0", "tcp://[::1]:0", "tcp://192.0.2.1:0",
     "udp://127.0.0.1:0", "fd://3", "tcp://127.0.0.1"],
)  # fmt: skip
def test_only_the_loopback_is_listened_on(path, address):
    """
    An OSError, and no file.
    """
    with pytest.raises(OSError):
        LoopbackEndpoint(address, path, 5)
    assert not path.exists()


def test_without_a_file_for_the_token_no_socket_is_opened(tmp_path):
    """
    No operator could use such a server.
    """
    with pytest.raises(OSError, match="no place for the token"):
        LoopbackEndpoint("tcp://127.0.0.1:0", None, 5)
    with pytest.raises(FileNotFoundError):
        LoopbackEndpoint("tcp://127.0.0.1:0", tmp_path / "none" / "server.control", 5)
