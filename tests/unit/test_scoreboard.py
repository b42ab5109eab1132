"""The scoreboard: what is written by one process is read by another."""

import mmap
import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from prefork.errors import ProtocolError
from prefork.ipc.scoreboard import (
    H_GENERATION,
    H_MAGIC,
    H_PID,
    H_STATE,
    H_USED,
    R_PID,
    R_STARTED,
    R_STATE,
    SIZE,
    SLOTS,
    STATES,
    W_ACCEPTED,
    W_ACTIVE,
    W_BUSY_SINCE,
    W_FAILED,
    W_HANDLED,
    W_LEAVING,
    Counters,
    Scoreboard,
)
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


def test_what_is_written_is_read_by_whoever_maps_the_file(board, fd):
    """
    Header, record, row and text are the same in every mapping.
    """
    other = Scoreboard.open(fd, writable=True)
    board.header[H_PID] = 4711
    board.text = b'{"name": "echo"}'
    board.record(3).words[R_PID] = 4712
    board.record(3).clock[R_STARTED] = 12.5
    other.row(3).words[W_ACCEPTED] = 7
    other.row(3).clock[W_BUSY_SINCE] = 99.25
    other.row(3).peer = "127.0.0.1:50000"

    reader = Scoreboard.open(fd)

    assert (4711, b'{"name": "echo"}') == (reader.header[H_PID], reader.text)
    assert (4712, 12.5) == (reader.record(3).words[R_PID], reader.record(3).clock[R_STARTED])
    assert (7, 99.25) == (reader.row(3).words[W_ACCEPTED], reader.row(3).clock[W_BUSY_SINCE])
    assert "127.0.0.1:50000" == reader.row(3).peer


def test_a_reader_cannot_write(board, fd):
    """
    ``prefork status`` can do no harm.
    """
    reader = Scoreboard.open(fd)

    with pytest.raises(TypeError):
        reader.header[H_PID] = 1


@pytest.mark.parametrize("slot", [0, 1, SLOTS - 1])
def test_slots_do_not_overlap(board, slot):
    """
    Filling one leaves its neighbours, and the header, as they were.
    """
    neighbours = [other for other in (slot - 1, slot + 1) if 0 <= other < SLOTS]
    row, record = board.row(slot), board.record(slot)
    magic = board.header[H_MAGIC]
    for word in range(len(record.words)):
        record.words[word] = -1
    for word in range(8):
        row.words[word] = -1
    row.peer = "x" * 500

    for other in neighbours:
        assert not any(board.record(other).words)
        assert not any(board.row(other).words)
    assert magic == board.header[H_MAGIC]


@given(some.text(max_size=100))
def test_a_peer_of_any_length_and_alphabet_fits(text):
    """
    What is too long is cut; it never reaches the next row, and is always readable.
    """
    memory = mmap.mmap(-1, SIZE)
    board = Scoreboard(memory)

    board.row(0).peer = text

    assert not any(board.row(1).words)
    kept = text.partition("\0")[0]
    assert kept.encode("utf-8", "replace")[:63].decode("utf-8", "replace") == board.row(0).peer


@pytest.mark.parametrize("damage", ["short", "long", "empty", "magic"])
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

    with pytest.raises(ProtocolError):
        Scoreboard.open(fd)


def test_counters_belong_to_the_slot(board):
    """
    A successor counts on; the record keeps where it began, so nothing is lost by a death.
    """
    board.header[H_USED] = 2
    row, record = board.row(0), board.record(0)
    record.prepare(1, 1.0, row)
    row.words[W_ACCEPTED], row.words[W_HANDLED], row.words[W_FAILED] = 10, 9, 2
    row.words[W_ACTIVE], row.words[W_LEAVING] = 1, 1
    row.clock[W_BUSY_SINCE] = 5.0
    row.peer = "somebody"

    record.prepare(2, 7.0, row)

    assert Counters(0, 0, 0) == board.counted(0)
    assert Counters(10, 9, 2) == board.totals()
    assert (0, 0, 0.0, "") == (
        row.words[W_ACTIVE],
        row.words[W_LEAVING],
        row.clock[W_BUSY_SINCE],
        row.peer,
    )
    row.words[W_ACCEPTED] += 3
    board.row(1).words[W_ACCEPTED] = 4
    assert Counters(3, 0, 0) == board.counted(0)
    assert Counters(17, 9, 2) == board.totals()


def test_a_text_that_does_not_fit_is_refused(board):
    """
    It would be written over the records.
    """
    with pytest.raises(ProtocolError):
        board.text = b"x" * 20_000


def test_the_status_of_a_board(board):
    """
    What stands in header, records and rows, in the words of the contract.
    """
    board.text = msgspec.json.encode(
        {
            "name": "echo", "target": "app:handle", "control": None, "accept": "blocking",
            "listeners": [{"address": "tcp://127.0.0.1:1", "inode": 0, "backlog": 5}],
        }
    )  # fmt: skip
    board.header[H_STATE], board.header[H_GENERATION], board.header[H_USED] = 2, 1, 4
    for slot, state in ((0, "ready"), (1, "ready"), (3, "draining")):
        board.record(slot).words[R_STATE] = STATES.index(state)
        board.record(slot).clock[R_STARTED] = 90.0
    board.row(0).words[W_ACTIVE], board.row(0).words[W_ACCEPTED] = 2, 5
    board.row(0).clock[W_BUSY_SINCE] = 99.0

    status = status_of(board, 100.0)

    assert ("echo", "running", 1) == (status["name"], status["state"], status["generation"])
    assert [0, 1, 3] == [worker["slot"] for worker in status["workers"]]
    assert {"ready": 2, "busy": 1, "idle": 1, "draining": 1, "starting": 0}.items() <= status[
        "pool"
    ].items()
    first = status["workers"][0]
    assert (True, 2, 1.0, 10.0) == (
        first["busy"],
        first["active"],
        first["busy_for"],
        first["age"],
    )
    assert (None, 5) == (status["listeners"][0]["queued"], status["listeners"][0]["backlog"])
