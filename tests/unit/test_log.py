"""The log: its two forms, its levels, and that it never waits."""

import json
import os
import re
import select

import pytest
from hypothesis import given
from hypothesis import strategies as some

from prefork.logs.log import PENDING_LIMIT, Log, to_json, to_text

MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture
def pipe():
    """
    A pipe whose reading end does not block.
    """
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            pass


def drained(reader):
    parts = []
    try:
        while data := os.read(reader, 1 << 16):
            parts.append(data)
    except BlockingIOError:
        pass
    return b"".join(parts).decode()


def test_an_event_as_text():
    """
    ``time level event key=value …`` on one line.
    """
    line = to_text("info", "worker exited", {"slot": 2, "status": "SIGKILL", "after": 12.4})

    assert re.fullmatch(MOMENT + r" info worker exited slot=2 status=SIGKILL after=12\.400\n", line)


def test_an_event_as_json():
    """
    The same as one object a line.
    """
    line = to_json("warning", "name is taken", {"name": "echo", "by": 17, "path": None})

    record = json.loads(line)
    assert line.endswith("}\n")
    assert re.fullmatch(MOMENT, record.pop("time"))
    assert {
        "level": "warning", "event": "name is taken", "name": "echo", "by": 17, "path": None,
    } == record  # fmt: skip


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("two words", '"two words"'),
        ("", '""'),
        ("a=b", '"a=b"'),
        ('say "x"', '"say \\"x\\""'),
        ("line\nbreak", '"line\\nbreak"'),
        ("tcp://[::1]:80", "tcp://[::1]:80"),
        (None, "None"),
        (True, "True"),
        ("ü", "ü"),
    ],
)
def test_values_are_quoted_when_they_must_be(value, shown):
    """
    A value never looks like two, or like a line's end.
    """
    assert to_text("info", "x", {"key": value}).endswith(f" info x key={shown}\n")


@given(some.dictionaries(some.from_regex(r"[a-z]{1,8}", fullmatch=True), some.text()))
def test_whatever_is_logged_is_one_line(fields):
    """
    No field's text ends the line, in either form.
    """
    fields.pop("traceback", None)

    for line in (to_text("info", "x", fields), to_json("info", "x", fields)):
        assert 1 == len(line.rstrip("\n").split("\n"))


@given(some.dictionaries(some.from_regex(r"[a-z]{1,8}", fullmatch=True), some.text()))
def test_json_gives_back_what_was_logged(fields):
    """
    Nothing is lost on the way.
    """
    for reserved in ("time", "level", "event"):
        fields.pop(reserved, None)

    assert fields.items() <= json.loads(to_json("info", "x", fields)).items()


def test_a_traceback_follows_indented(pipe):
    """
    In text it stands below its line; the line itself stays short.
    """
    reader, writer = pipe
    try:
        raise ValueError("on purpose")
    except ValueError as error:
        Log(fd=writer).exception("handler failed", error, pid=1)

    first, *rest = drained(reader).splitlines()
    assert first.endswith("error handler failed pid=1 error=\"ValueError('on purpose')\"")
    assert "    Traceback (most recent call last):" == rest[0]
    assert "    ValueError: on purpose" == rest[-1]


def test_the_level_is_a_threshold(pipe):
    """
    What is below it is not written.
    """
    reader, writer = pipe
    log = Log("warning", fd=writer)

    for write in (log.debug, log.info, log.warning, log.error):
        write("event")

    assert ["warning", "error"] == [line.split()[1] for line in drained(reader).splitlines()]
    assert [False, False, True, True] == [
        log.enabled(level) for level in ("debug", "info", "warning", "error")
    ]


def test_a_full_pipe_is_not_waited_for(pipe):
    """
    Lines wait in memory, in order, and follow when there is room.
    """
    reader, writer = pipe
    log = Log(fd=writer)
    for number in range(800):
        log.info("event", number=number, filler="x" * 200)

    text = drained(reader)
    while "number=799" not in text:
        log.flush()
        text += drained(reader)

    assert list(range(800)) == [int(n) for n in re.findall(r"number=(\d+)", text)]


def test_dropped_lines_are_counted(pipe):
    """
    Beyond the limit older lines are dropped, and the log reports how many.
    """
    reader, writer = pipe
    log = Log(fd=writer)
    count = PENDING_LIMIT + 1000
    for number in range(count):
        log.info("event", number=number, filler="x" * 200)

    text = drained(reader)
    while f"number={count - 1} " not in text:
        log.flush()
        text += drained(reader)

    [lost] = re.findall(r"warning log lines lost count=(\d+)", text)
    seen = re.findall(r"number=(\d+)", text)
    assert count == len(seen) + int(lost)
    assert str(count - 1) == seen[-1]


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("letter", ["y", "é", '"'])
def test_on_a_pipe_a_long_line_is_cut_in_its_middle(pipe, as_json, letter):
    """
    So that it is written in one piece, and never mixes with those of other processes.
    """
    reader, writer = pipe
    log = Log(fd=writer, as_json=as_json)

    log.info("event", filler="first" + letter * 300_000 + "last", other="whole")
    line = drained(reader)

    assert len(line.encode()) <= select.PIPE_BUF
    assert line.endswith("\n")
    assert all(part in line for part in ("first", "[...]", "last", "whole"))


def test_a_reader_that_is_gone_is_no_error(pipe):
    """
    EPIPE is ignored.
    """
    reader, writer = pipe
    log = Log(fd=writer)
    os.close(reader)

    log.info("into the void")

    assert log.lost


def test_a_closed_descriptor_is_no_error():
    """
    A server may run without standard error.
    """
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)

    log = Log(fd=writer)
    log.info("into the void")
    log.reopen()


def test_an_inherited_pipe_stays_blocking(pipe):
    """
    O_NONBLOCK belongs to the open file, which others share; the log opens it again for itself.
    """
    _, writer = pipe

    Log(fd=writer).info("event")

    assert os.get_blocking(writer)


def test_reopening_after_a_rename(tmp_path):
    """
    The descriptor leads to the new file under the old name.
    """
    path = tmp_path / "log"
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        log = Log(fd=fd)
        log.info("before")
        path.rename(tmp_path / "old")

        log.reopen()
        log.info("after")
    finally:
        os.close(fd)

    assert "before" in (tmp_path / "old").read_text()
    assert "after" not in (tmp_path / "old").read_text()
    assert "after" in path.read_text()


def test_a_log_that_cannot_be_reopened_continues_in_the_old_file(tmp_path):
    """
    And reports it there.
    """
    place = tmp_path / "place"
    place.mkdir()
    fd = os.open(place / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        log = Log(fd=fd)
        place.rename(tmp_path / "elsewhere")

        log.reopen()
    finally:
        os.close(fd)

    assert "warning log not reopened" in (tmp_path / "elsewhere" / "log").read_text()
