"""What programs say, and what is made of it on the scoreboard."""

import mmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.arbiter.programs.notify_words import Report, parse
from prefork.arbiter.programs.row import ProgramRow
from prefork.ipc.scoreboard import SIZE, Scoreboard


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", Report()),
        (b"READY=1", Report(ready=True)),
        (b"READY=1\nSTATUS=up\n", Report(ready=True, status="up")),
        (b"STOPPING=1", Report(stopping=True)),
        (b"WATCHDOG=1", Report(alive=True)),
        (b"WATCHDOG=trigger", Report(alive=False)),
        (b"WATCHDOG_USEC=1500000", Report(period=1.5)),
        (b"WATCHDOG_USEC=0", Report(period=0.0)),
        (b"EXTEND_TIMEOUT_USEC=250000", Report(extension=0.25)),
        (b"BUSY=0", Report(units=0)),
        (b"BUSY=1\nBUSY=3", Report(units=3)),
        (b"BUSY=1000000", Report(units=1_000_000)),
        (b"STATUS=", Report(status="")),
        (b"STATUS=a=b\tc", Report(status="a=b c")),
        (b"STATUS=\xff", Report(status="\N{REPLACEMENT CHARACTER}")),
        (b"MAINPID=12\nERRNO=2\nBARRIER=1\nX_MINE=5", Report()),
        (b"READY=0", Report(wrong=("READY=0",))),
        (b"READY", Report(wrong=("READY",))),
        (b"WATCHDOG=now", Report(wrong=("WATCHDOG=now",))),
        (b"BUSY=-1\nREADY=1", Report(ready=True, wrong=("BUSY=-1",))),
        (b"BUSY=1000001", Report(wrong=("BUSY=1000001",))),
        (b"BUSY= 1", Report(wrong=("BUSY= 1",))),
        (b"BUSY=\xd9\xa3", Report(wrong=("BUSY=٣",))),
        (b"WATCHDOG_USEC=1.5", Report(wrong=("WATCHDOG_USEC=1.5",))),
        (b"WATCHDOG_USEC=18446744073709551615", Report(period=18446744073709.551615)),
        (b"WATCHDOG_USEC=18446744073709551616", Report(wrong=(f"WATCHDOG_USEC={2**64}",))),
        (b"hello\x1b\nREADY=1", Report(ready=True, wrong=("hello ",))),
    ],
)  # fmt: skip
def test_each_word_has_its_meaning(data, said):
    """
    The words of sd_notify(3) that matter, BUSY, and what is wrong.
    """
    assert said == parse(data)


words = st.sampled_from(
    ["READY", "STOPPING", "WATCHDOG", "WATCHDOG_USEC", "EXTEND_TIMEOUT_USEC", "BUSY", "STATUS"]
)
values = st.one_of(st.integers(-5, 10**30).map(str), st.text(max_size=20), st.just("1"))
lines = st.builds("{}={}".format, words, values).map(str.encode)


@given(st.one_of(st.binary(max_size=300), st.lists(lines, max_size=6).map(b"\n".join)))
def test_nothing_breaks_the_parser(data):
    """
    Whatever comes, there is an answer, and its numbers fit the scoreboard and the clock.
    """
    said = parse(data)

    assert 0 <= (said.units or 0) <= 1_000_000
    assert 0 <= (said.period or 0) < 2e13
    assert 0 <= (said.extension or 0) < 2e13
    assert (said.status or "").isprintable()
    assert all(text.isprintable() and len(text) <= 80 for text in said.wrong)


@pytest.fixture
def row():
    board = Scoreboard(mmap.mmap(-1, SIZE))
    return board.row(3)


def test_units_are_counted_as_they_come_and_go(row):
    """
    A rise is accepted, a fall is handled; held since the first of them.
    """
    program = ProgramRow(row, timeout=30)

    seen = []
    for now, units in enumerate((2, 5, 1, 0, 0, 1), start=10):
        program.set_units(units, now)
        assert row.connections == row.active
        seen.append((row.active, row.accepted, row.handled, row.held_since))

    assert [
        (2, 2, 0, 10.0),
        (5, 5, 0, 10.0),
        (1, 5, 4, 10.0),
        (0, 5, 5, 0.0),
        (0, 5, 5, 0.0),
        (1, 6, 5, 15.0),
    ] == seen


@pytest.mark.parametrize(
    ("timeout", "says", "hung_at"),
    [
        (30, [("note_alive", 100)], 130),
        (30, [("note_alive", 100), ("note_alive", 120)], 150),
        (30, [("watch_silence", 5, 100)], 105),
        (30, [("watch_silence", 90, 100), ("note_alive", 110)], 200),
        (30, [("note_alive", 100), ("watch_silence", 0, 101), ("note_alive", 102)], None),
        (30, [("set_hung", 100)], 100),
        (0, [("note_alive", 100), ("watch_silence", 5, 101), ("set_hung", 102)], None),
        (100, [("watch_silence", 0.001, 99.999)], 100),
    ],
)
def test_a_silence_is_timed_from_the_last_sign_of_life(row, timeout, says, hung_at):
    """
    The pool adds ``timeout`` to what the row says: that makes the program's own period.
    """
    program = ProgramRow(row, timeout)
    for name, *arguments in says:
        getattr(program, name)(*arguments)

    since = row.turn_since
    assert (hung_at is None) == (since == 0)
    assert hung_at is None or since + timeout == pytest.approx(hung_at)


def test_what_it_says_of_itself_is_kept_as_far_as_there_is_room(row):
    """
    Its last words for people, and that it leaves.
    """
    program = ProgramRow(row, 30)

    program.set_text("é" * 100)
    program.set_leaving()

    assert "é" * 31 == row.text.rstrip("\N{REPLACEMENT CHARACTER}")
    assert 1 == row.leaving
