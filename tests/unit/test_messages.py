"""Messages between the arbiter and its children."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from prefork.errors import ProtocolError
from prefork.ipc import messages

MESSAGES = [
    messages.Loaded(),
    messages.Ready(17),
    messages.Failed(17, "no such module", "Traceback …"),
    messages.Failed(17, "line\nbreak"),
    messages.Unsafe("a thread runs"),
    messages.Forked(3, 4711),
    messages.NotForked(3, "Resource temporarily unavailable"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=repr)
def test_a_message_survives_the_way(message):
    """
    Encoded it is one line; decoded it is what it was.
    """
    data = messages.encode(message)

    assert 1 == data.count(b"\n")
    assert message == messages.decode(data[:-1])


def test_an_order_survives_the_way():
    """
    An order is one record.
    """
    order = messages.MoldOrder(5, 2, 7)

    assert order == messages.decode_order(messages.encode(order))


@pytest.mark.parametrize("line", [b"", b"x", b"{}", b'{"type": "dance"}', b"[]", b"\xff"])
def test_nonsense_is_a_protocol_error(line):
    """
    Whoever sends it, the arbiter does not fall over it.
    """
    with pytest.raises(ProtocolError):
        messages.decode(line)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"slot": "x", "generation": 1}'])
def test_a_malformed_order_is_a_protocol_error(data):
    """
    The same for the mold.
    """
    with pytest.raises(ProtocolError):
        messages.decode_order(data)


@given(some.lists(some.sampled_from(MESSAGES), max_size=8), some.data())
def test_lines_come_out_as_they_went_in_however_they_are_cut(sent, data):
    """
    A stream has no boundaries; the lines are found wherever it is cut.
    """
    stream = b"".join(messages.encode(message) for message in sent)
    lines, found = messages.Lines(), []
    while stream:
        size = data.draw(some.integers(1, len(stream)))
        found += [messages.decode(line) for line in lines.feed(stream[:size])]
        stream = stream[size:]

    assert sent == found


def test_an_unfinished_line_is_kept_back():
    """
    Until its end has come.
    """
    lines = messages.Lines()

    assert [] == list(lines.feed(b"half"))
    assert [b"half and half"] == list(lines.feed(b" and half\nre"))
    assert [b"rest"] == list(lines.feed(b"st\n"))
