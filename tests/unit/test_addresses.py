"""Addresses as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from prefork.errors import ListenError
from prefork.sockets.addresses import Address, parse_address
from prefork.sockets.binding import takes_datagrams


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
        ("udp://127.0.0.1:53", "udp://127.0.0.1:53"),
        ("udp://:53", "udp://0.0.0.0:53"),
        ("udp://[::1]:0", "udp://[::1]:0"),
        ("unixgram:/run/app.sock", "unixgram:/run/app.sock"),
        ("unixgram:///run/app.sock", "unixgram:/run/app.sock"),
        ("unixgram:@name", "unixgram:@name"),
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
        "http://host:80", "tcp://", "a b/c:80", "fd://\u0663", "host:\u0663", "fd://9999999999",
        "udp://host", "udp:host:80", "udp://[::1]:65536", "unixgram:", "unixgram:@", "unixgram://",
    ],
)  # fmt: skip
def test_what_is_not_an_address_is_refused_with_a_sentence(text):
    """
    A ListenError that quotes the text.
    """
    with pytest.raises(ListenError, match=r"^['\"]"):
        parse_address(text)


internet = some.builds(
    Address,
    some.sampled_from(["tcp", "udp"]),
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
    internet,
    some.builds(Address, some.sampled_from(["unix", "unixgram"]), path=paths),
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


def test_addresses_are_for_connections_or_datagrams():
    """
    By their schemes; a descriptor that is not open is neither.
    """
    texts = ["tcp://:1", "unix:/s", "udp://:1", "unixgram:@s", "fd://9999"]

    assert [{False}, {False}, {True}, {True}, set()] == [
        takes_datagrams([parse_address(text)]) for text in texts
    ]
