"""The sockets behind addresses."""

import os
import socket

import pytest

from prefork.errors import ListenError
from prefork.sockets.addresses import parse_address
from prefork.sockets.binding import takes_datagrams
from prefork.sockets.listeners import open_listeners, peer_text


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (("127.0.0.1", 5), "127.0.0.1:5"),
        (("::1", 5, 0, 0), "[::1]:5"),
        ("", ""),
        ("/run/client", "/run/client"),
        (b"\0abstract", "\0abstract"),
        (None, ""),
    ],
)
def test_a_client_as_text(address, text):
    """
    As accept gives it; a Unix client mostly has no name.
    """
    assert text == peer_text(address)


def test_all_or_none_are_opened(tmp_path):
    """
    When one of several fails, those before it are closed and their paths removed.
    """
    path = tmp_path / "s"

    with pytest.raises(ListenError, match="the directory does not exist"):
        open_listeners([f"unix:{path}", "unix:/no/such/directory/s"], 10)

    assert not path.exists()


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "[::1]:0", "unix:{path}", "unix:@{name}"])
def test_a_listener_reports_its_queue(tmp_path, bind):
    """
    The accept queue is empty, then one deep, then empty again.
    """
    name = f"prefork-{os.getpid()}-{tmp_path.name}"
    [listener] = open_listeners([bind.format(path=tmp_path / "s", name=name)], 10)
    try:
        assert 0 == listener.queued()
        with socket.socket(listener.socket.family) as client:
            client.connect(listener.socket.getsockname())
            assert 1 == listener.queued() == listener.arriving()
            listener.socket.accept()[0].close()
        assert 0 == listener.queued()
    finally:
        listener.close()
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "[::1]:0", "unix:{path}"])
def test_queued_connections_can_be_accepted_after_quiescing(tmp_path, bind):
    """
    ``stop_listening``: no new connection is established, queued ones stay.
    """
    [listener] = open_listeners([bind.format(path=tmp_path / "s")], 10)
    name = listener.socket.getsockname()
    try:
        with (
            socket.socket(listener.socket.family) as early,
            socket.socket(listener.socket.family) as late,
        ):
            early.connect(name)
            listener.stop_listening()
            late.settimeout(0.2)
            with pytest.raises((TimeoutError, ConnectionRefusedError)):
                late.connect(name)
            connection, _ = listener.socket.accept()
            with connection:
                early.sendall(b"still in")
                assert b"still in" == connection.recv(100)
            assert 0 == listener.queued()
    finally:
        listener.close()


def test_tcp_answers_without_delay():
    """
    Accepted connections inherit TCP_NODELAY.
    """
    [listener] = open_listeners(["127.0.0.1:0"], 10)
    try:
        with socket.create_connection(listener.socket.getsockname()):
            connection, _ = listener.socket.accept()
            with connection:
                assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    finally:
        listener.close()


def test_nothing_is_inheritable():
    """
    Until the one place that starts children makes it so.
    """
    listeners = open_listeners(["127.0.0.1:0", f"unix:@prefork-{os.getpid()}-inheritable"], 10)
    try:
        assert [False, False] == [listener.socket.get_inheritable() for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()


DATAGRAMS = pytest.mark.parametrize(
    "bind", ["udp://127.0.0.1:0", "udp://[::1]:0", "unixgram:{path}", "unixgram:@{name}"]
)


@pytest.fixture
def listener(tmp_path, bind):
    """
    A listener for datagrams at ``bind``.
    """
    name = f"prefork-{os.getpid()}-{tmp_path.name}"
    [opened] = open_listeners([bind.format(path=tmp_path / "s", name=name)], 10)
    yield opened
    opened.close()


@DATAGRAMS
def test_a_listener_reports_waiting_datagrams(listener, bind):
    """
    At least one when there are any, never more than there are, none when all are received.
    """
    with socket.socket(listener.socket.family, socket.SOCK_DGRAM) as client:
        client.connect(listener.socket.getsockname())

        assert 0 == listener.queued() == listener.arriving()
        for sent in range(1, 8):
            client.send(b"x")
            assert 1 <= listener.queued() <= sent
        for _ in range(7):
            assert listener.queued()
            listener.socket.recv(10)
        assert 0 == listener.queued()


@pytest.mark.parametrize("size", [0, 1, 100, 200, 1000, 1400, 4000, 9000, 20_000, 65_507])
def test_the_number_of_waiting_datagrams_is_not_overestimated(size):
    """
    Whatever their length: the kernel reports only the memory that they use.
    """
    [listener] = open_listeners(["udp://127.0.0.1:0"], 10)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for sent in range(1, 4):
                client.sendto(b"x" * size, listener.socket.getsockname())
                assert 1 <= listener.queued() <= sent
            # What has been received meanwhile does not count.
            listener.socket.recv(1 << 16)
            assert 1 <= listener.queued() <= 2
    finally:
        listener.close()


@DATAGRAMS
def test_queued_datagrams_can_be_received_after_quiescing(listener, bind, tmp_path):
    """
    ``stop_listening``: nothing new gets in, queued ones stay; a path is removed.
    """
    name = listener.socket.getsockname()
    with socket.socket(listener.socket.family, socket.SOCK_DGRAM) as client:
        client.connect(name)
        client.send(b"early")
        listener.stop_listening()
        client.send(b"late")

        assert b"early" == listener.socket.recv(100)
        assert 0 == listener.queued()
    assert not (tmp_path / "s").exists()


def test_two_servers_cannot_have_one_udp_address():
    """
    Though the system would allow it, and the last would get every datagram.
    """
    [listener] = open_listeners(["udp://127.0.0.1:0"], 10)
    try:
        with pytest.raises(ListenError, match="the address is in use"):
            open_listeners([str(listener.address)], 10)
    finally:
        listener.close()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("scheme", ["unix", "unixgram"])
def test_a_stale_path_is_taken_over_whatever_it_was_for(tmp_path, scheme, kind):
    """
    A dead server's socket of either kind is replaced by one of either kind; a live one is not.
    """
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, kind) as other:
        other.bind(str(path))
        if kind == socket.SOCK_STREAM:
            other.listen()
        with pytest.raises(ListenError, match="the address is in use"):
            open_listeners([f"{scheme}:{path}"], 10)

    [listener] = open_listeners([f"{scheme}:{path}"], 10)
    listener.close()


@pytest.mark.parametrize("bound", [True, False])
def test_a_socket_for_datagrams_is_adopted_if_it_is_bound(bound):
    """
    It is recognized by its type; one that could get no datagram is refused.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as given:
        if bound:
            given.bind(("127.0.0.1", 0))
            where = "udp://{}:{}".format(*given.getsockname())
        address = f"fd://{os.dup(given.fileno())}"

        assert {True} == takes_datagrams([parse_address(address)])
        if bound:
            [listener] = open_listeners([address], 10)
            listener.close()
            assert where == str(listener.address)
            assert listener.is_datagram
            assert not listener.owned
        else:
            with pytest.raises(ListenError, match="that socket is not bound"):
                open_listeners([address], 10)
            os.close(parse_address(address).fd)
