"""Messages between the arbiter and its children."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from prefork.errors import ProtocolError
from prefork.ipc import messages as wire

MESSAGES = [
    wire.Loaded(),
    wire.Ready(17),
    wire.Failed(17, "no such module", "Traceback …"),
    wire.Failed(17, "line\nbreak"),
    wire.Unsafe("a thread runs"),
    wire.Forked(3, 4711),
    wire.NotForked(3, "Resource temporarily unavailable"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=repr)
def test_a_message_is_decoded_as_it_was_encoded(message):
    """
    Encoded it is one line.
    """
    data = wire.encode(message)

    assert 1 == data.count(b"\n")
    assert message == wire.decode(data[:-1])


def test_an_order_is_decoded_as_it_was_encoded():
    """
    Encoded it is one record.
    """
    order = wire.ForkOrder(5, 2, 7)

    assert order == wire.decode_order(wire.encode(order))


@pytest.mark.parametrize("line", [b"", b"x", b"{}", b'{"type": "dance"}', b"[]", b"\xff"])
def test_a_malformed_message_is_a_protocol_error(line):
    """
    The arbiter survives it, whoever has sent it.
    """
    with pytest.raises(ProtocolError):
        wire.decode(line)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"slot": "x", "generation": 1}'])
def test_a_malformed_order_is_a_protocol_error(data):
    """
    As above, for the mold.
    """
    with pytest.raises(ProtocolError):
        wire.decode_order(data)


@given(some.lists(some.sampled_from(MESSAGES), max_size=8), some.data())
def test_lines_are_found_wherever_the_stream_is_cut(messages, data):
    """
    A stream has no boundaries.
    """
    stream = b"".join(wire.encode(message) for message in messages)
    lines, found = wire.Lines(), []
    while stream:
        size = data.draw(some.integers(1, len(stream)))
        found += [wire.decode(line) for line in lines.feed(stream[:size])]
        stream = stream[size:]

    assert messages == found


def test_an_unfinished_line_is_kept():
    """
    Until its end arrives.
    """
    lines = wire.Lines()

    assert [] == list(lines.feed(b"half"))
    assert [b"half and half"] == list(lines.feed(b" and half\nre"))
    assert [b"rest"] == list(lines.feed(b"st\n"))
