"""Addresses as text, and the sockets behind them."""

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as some

from prefork.errors import ListenError
from prefork.listeners import Address, open_listeners, parse_address, peer_text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("127.0.0.1:8000", "tcp://127.0.0.1:8000"),
        ("tcp://127.0.0.1:8000", "tcp://127.0.0.1:8000"),
        (":8000", "tcp://0.0.0.0:8000"),
        ("localhost:0", "tcp://localhost:0"),
        ("[::1]:80", "tcp://[::1]:80"),
        ("tcp://[::]:65535", "tcp://[::]:65535"),
        ("unix:/run/app.sock", "unix:/run/app.sock"),
        ("unix:///run/app.sock", "unix:/run/app.sock"),
        ("unix://relative.sock", "unix:relative.sock"),
        ("unix:@name", "unix:@name"),
        ("fd://3", "fd://3"),
    ],
)
def test_each_form_has_one_canonical_text(text, canonical):
    """
    That of status and log; it means the same when it is read again.
    """
    address = parse_address(text)

    assert canonical == str(address)
    assert address == parse_address(canonical)


@pytest.mark.parametrize(
    "text",
    [
        "", "nowhere", "8000", "host:", "host:port", "host:65536", "host:-1", "::1:80",
        "[::1]", "unix:", "unix:@", "unix:" + "x" * 108, "fd://", "fd://x", "fd://-1",
        "http://host:80", "udp://host:80", "tcp://", "a b/c:80", "fd://\u0663", "host:\u0663",
        "fd://9999999999",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_in_a_sentence(text):
    """
    A ListenError that quotes the text.
    """
    with pytest.raises(ListenError, match=r"^['\"]"):
        parse_address(text)


tcp = some.builds(
    Address,
    some.just("tcp"),
    host=some.one_of(
        some.ip_addresses().map(str),
        some.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z]{2,5})?", fullmatch=True),
    ),
    port=some.integers(0, 65535),
)
paths = some.text(
    some.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=26
).filter(lambda path: path != "@" and not path.startswith("//"))
addresses = some.one_of(
    tcp,
    some.builds(Address, some.just("unix"), path=paths),
    some.builds(Address, some.just("fd"), fd=some.integers(0, 999_999_999)),
)


@given(addresses)
def test_every_address_is_read_as_it_is_written(address):
    """
    ``parse_address(str(address)) == address``.
    """
    assert address == parse_address(str(address))


@given(some.text())
def test_any_text_is_an_address_or_an_error(text):
    """
    Nothing else comes out of it.
    """
    try:
        address = parse_address(text)
    except ListenError:
        return
    assert address == parse_address(str(address))


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
def test_a_listener_knows_who_waits(tmp_path, bind):
    """
    Its queue is empty, then one deep, then empty again.
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
def test_who_has_come_in_can_be_accepted_after_the_door_is_shut(tmp_path, bind):
    """
    ``stop_listening``: nobody new is established, who waits stays.
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
    Until the one place that starts children says so.
    """
    listeners = open_listeners(["127.0.0.1:0", f"unix:@prefork-{os.getpid()}-inheritable"], 10)
    try:
        assert [False, False] == [listener.socket.get_inheritable() for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()
