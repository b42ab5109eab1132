"""The scoreboard: what is written by one process is read by another."""

import mmap
import os

import pytest
from hypothesis import given
from hypothesis import strategies as some

from prefork.errors import ProtocolError
from prefork.ipc.fields import WORD, Area, Choice, Moment, Number, Text
from prefork.ipc.layout import MAGIC, SLOTS, Header, Record, Row
from prefork.ipc.reading import Counts, counted, server_view
from prefork.ipc.scoreboard import SIZE, Description, ListenerDescription, Scoreboard
from prefork.platform.posix.system import memory_file
from prefork.status import status_of


@pytest.fixture
def fd():
    """
    An empty file.
    """
    fd = memory_file("scoreboard")
    yield fd
    os.close(fd)


@pytest.fixture
def board(fd):
    return Scoreboard.create(fd)


class Small(Area, words=8):
    """An area of the tests' own."""

    count = Number("a number")
    since = Moment("a moment")
    name = Text("a text of 15 bytes", words=2)
    state = Choice("a word", "", "on", "off")
    last = Number("one behind all others")


@pytest.fixture
def small():
    return Small(memoryview(bytearray(Small.size)))


def test_fields_lie_in_the_order_of_their_declaration(small):
    """
    Each behind the one before; what is left is reserved.
    """
    fields = (Small.count, Small.since, Small.name, Small.state, Small.last)

    assert [0, 1, 2, 4, 5] == [field.index for field in fields]
    assert (6, 64) == (Small.used, Small.size)
    assert "a moment" == Small.since.__doc__


def test_a_field_is_read_as_it_was_written(small):
    """
    And each has words of its own.
    """
    small.count, small.since, small.name, small.state, small.last = -5, 1.5, "löng", "off", 7

    assert (-5, 1.5, "löng", "off", 7) == (
        small.count, small.since, small.name, small.state, small.last,
    )  # fmt: skip
    assert (2, 0, 0) == (small.words[4], small.words[6], small.words[7])


def test_neighbours_are_written_and_read_with_one_call(small):
    """
    In the order of the fields, which touches no other.
    """
    small.count = small.last = 9

    small.writer(Small.since, Small.name, Small.state)(2.5, b"text", 1)

    assert (9, 2.5, "text", "on", 9) == (
        small.count, small.since, small.name, small.state, small.last,
    )  # fmt: skip
    assert (1, 9) == small.reader(Small.state, Small.last)()


@pytest.mark.parametrize("fields", [(Small.since, Small.count), (Small.count, Small.name)])
def test_only_neighbours_are_written_with_one_call(small, fields):
    """
    Anything else would be written to other fields' places.
    """
    with pytest.raises(AssertionError):
        small.writer(*fields)


def test_an_area_that_is_too_small_for_its_fields_is_a_mistake():
    """
    Seen when the module is imported.
    """
    with pytest.raises(AssertionError, match="2 words; 1 are there"):
        type("Full", (Area,), {"one": Number("…"), "two": Number("…")}, words=1)


def test_a_word_that_stands_for_nothing_is_unknown(small):
    """
    Whatever stands there.
    """
    for number in (3, -1, 2**62):
        small.words[Small.state.index] = number
        assert "unknown" == small.state


def test_there_is_room_for_what_comes():
    """
    Metrics and a histogram of waiting time want some 20 more words a row.
    """
    assert Row.size // WORD - Row.used >= 32
    assert Record.size // WORD - Record.used >= 8
    assert Header.size // WORD - Header.used >= 64


def test_what_is_written_is_read_by_whoever_maps_the_file(board, fd):
    """
    Header, record, row and description are the same in every mapping.
    """
    other = Scoreboard.open(fd, writable=True)
    board.header.pid = 4711
    board.description = Description("echo")
    board.record(3).pid = 4712
    board.record(3).started = 12.5
    other.row(3).accepted = 7
    other.row(3).busy_since = 99.25
    other.row(3).peer_host, other.row(3).peer_port = "127.0.0.1", 50000

    reader = Scoreboard.open(fd)

    assert (4711, Description("echo")) == (reader.header.pid, reader.description)
    assert (4712, 12.5) == (reader.record(3).pid, reader.record(3).started)
    assert (7, 99.25) == (reader.row(3).accepted, reader.row(3).busy_since)
    assert ("127.0.0.1", 50000) == reader.row(3).peer
    assert (7, 99.25, 4712) == (
        reader.column(Row.accepted)[3],
        reader.moments(Row.busy_since)[3],
        reader.column(Record.pid)[3],
    )


def test_a_reader_cannot_write(board, fd):
    """
    ``prefork status`` can do no harm.
    """
    reader = Scoreboard.open(fd)

    with pytest.raises(TypeError):
        reader.header.pid = 1


@pytest.mark.parametrize("slot", [0, 1, SLOTS - 1])
def test_slots_do_not_overlap(board, slot):
    """
    Filling one leaves its neighbours, and the header, as they were.
    """
    neighbours = [other for other in (slot - 1, slot + 1) if 0 <= other < SLOTS]
    row, record = board.row(slot), board.record(slot)
    for area in (record, row):
        for word in range(len(area.words)):
            area.words[word] = -1
    row.peer_host = row.text = "x" * 500

    for other in neighbours:
        assert not any(board.record(other).words)
        assert not any(board.row(other).words)
    assert MAGIC == board.header.magic


@given(some.text(max_size=100))
def test_a_text_of_any_length_and_alphabet_fits(text):
    """
    What is too long is cut; it never reaches the next field, and is always readable.
    """
    row = Row(memoryview(bytearray(Row.size)))

    row.text = row.peer_host = text

    assert not any(row.words[Row.used :])
    assert not any(row.words[Row.peer_port.index : Row.text.index])
    kept = text.partition("\0")[0]
    expected = kept.encode("utf-8", "replace")[:63].decode("utf-8", "replace")
    assert expected == row.text == row.peer_host


@pytest.mark.parametrize("damage", ["short", "long", "empty", "magic", "version"])
def test_a_file_that_is_no_scoreboard_is_refused(fd, damage):
    """
    A ProtocolError, never a crash on a mapping that is too small.
    """
    Scoreboard.create(fd)
    match damage:
        case "short":
            os.ftruncate(fd, SIZE - 1)
        case "long":
            os.ftruncate(fd, SIZE + 1)
        case "empty":
            os.ftruncate(fd, 0)
        case "magic":
            os.pwrite(fd, bytes(8), 0)
        case "version":
            Scoreboard.open(fd, writable=True).header.magic = MAGIC + 1

    with pytest.raises(ProtocolError, match="not a scoreboard of this version of prefork"):
        Scoreboard.open(fd)


def test_counters_belong_to_the_slot(board):
    """
    A successor counts on; the record keeps where it began, so nothing is lost by a death.
    """
    board.header.used_slots = 2
    board.description = Description("echo")
    row, record = board.row(0), board.record(0)
    record.prepare(1, 1.0, row)
    row.accepted, row.handled, row.failed = 10, 9, 2
    row.connections, row.active, row.leaving = 1, 1, 1
    row.busy_since = row.held_since = row.turn_since = 5.0
    row.peer_host, row.peer_port, row.text = "somebody", 5, "busy"

    record.prepare(2, 7.0, row)

    assert Counts() == counted(record, row)
    assert Counts(accepted=10, handled=9, failed=2) == server_view(board).totals.counts
    assert (0, 0, 0) == (row.connections, row.active, row.leaving)
    assert (0.0, 0.0, 0.0) == (row.busy_since, row.held_since, row.turn_since)
    assert (None, "") == (row.peer, row.text)
    row.accepted += 3
    board.row(1).accepted = 4
    assert Counts(accepted=3) == counted(record, row)
    assert Counts(accepted=17, handled=9, failed=2) == server_view(board).totals.counts


def test_a_description_that_does_not_fit_is_refused(board):
    """
    It would be written over the records.
    """
    with pytest.raises(ProtocolError):
        board.description = Description("x" * 20_000)


def test_the_status_of_a_scoreboard(board):
    """
    What stands in header, records and rows, in the words of the contract.
    """
    board.description = Description(
        "echo", "app:handle", None, (ListenerDescription("tcp://127.0.0.1:1", 0, 5),)
    )
    board.header.kind, board.header.accept = "stream", "blocking"
    board.header.state, board.header.generation, board.header.used_slots = "running", 1, 4
    for slot, state in ((0, "ready"), (1, "ready"), (3, "draining")):
        board.record(slot).prepare(1, 90.0, board.row(slot))
        board.record(slot).state = state
    row = board.row(0)
    row.connections, row.active, row.accepted, row.busy_since = 3, 2, 5, 99.0
    row.peer_host, row.peer_port = "::1", 7
    board.row(3).connections, board.row(3).text = 1, "finishing"

    status = status_of(board, 100.0)

    assert ("echo", "running", 1) == (status["name"], status["state"], status["generation"])
    assert ("stream", "blocking", None) == (status["kind"], status["accept"], status["control"])
    assert [0, 1, 3] == [worker["slot"] for worker in status["workers"]]
    assert {"ready": 2, "busy": 1, "idle": 1, "draining": 1, "starting": 0}.items() <= status[
        "pool"
    ].items()
    first, second, third = status["workers"]
    assert (True, 2, 3, 1.0, 10.0, "[::1]:7", None) == (
        first["busy"],
        first["active"],
        first["connections"],
        first["busy_for"],
        first["age"],
        first["peer"],
        first["says"],
    )
    assert (None, 0.0) == (second["peer"], second["busy_for"])
    assert (False, 1, 0.0, None, "finishing") == (
        third["busy"],
        third["connections"],
        third["busy_for"],
        third["peer"],
        third["says"],
    )
    assert (None, 5) == (status["listeners"][0]["queued"], status["listeners"][0]["backlog"])
    assert {"accepted": 5, "recycled": 0, "reloads": 0}.items() <= status["totals"].items()


@given(some.integers(0, 4), some.binary(min_size=8, max_size=512), some.integers(0, 60))
def test_damaged_numbers_are_read_as_something(area, content, word):
    """
    Never an IndexError: a server is shown as far as it can be read, or it is a ProtocolError.
    """
    board = Scoreboard(mmap.mmap(-1, SIZE))
    board.description = Description("echo")
    board.header.used_slots = 2
    board.record(0).state = "ready"
    areas = (board.header, board.record(0), board.record(1), board.row(0), board.row(1))
    memory = areas[area].memory
    start = word * WORD
    piece = content[: max(len(memory) - start, 0)]
    memory[start : start + len(piece)] = piece

    try:
        view = server_view(board)
    except ProtocolError:
        assert area == 0
    else:
        assert "echo" == view.description.name
        assert len(view.workers) <= SLOTS
