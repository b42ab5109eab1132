"""The worker's end of its channel, with the test at the other."""

import os
import select
import socket

import pytest

from prefork.ipc import messages
from prefork.ipc.scoreboard import Scoreboard
from prefork.logs import log
from prefork.logs.log import Log
from prefork.platform.posix.system import memory_file
from prefork.worker.posix_channel import PosixChannel


@pytest.fixture
def row():
    fd = memory_file("scoreboard")
    yield Scoreboard.create(fd).row(0)
    os.close(fd)


@pytest.fixture
def arbiter(row):
    """
    The other end; ``arbiter.channel`` is the worker's.
    """
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    channel = PosixChannel(theirs, row)
    yield Arbiter(ours, channel)
    channel.close()
    ours.close()


class Arbiter:
    """The arbiter's end."""

    def __init__(self, sock, channel):
        self.socket = sock
        self.channel = channel


def test_nothing_said_is_nothing_heard(arbiter, row):
    """
    To look costs nothing, and changes nothing.
    """
    arbiter.channel.read()

    assert not arbiter.channel.leaving
    assert not arbiter.channel.orphaned
    assert 0 == row.leaving


def test_a_drain_is_acknowledged_in_the_row(arbiter, row):
    """
    The worker is to leave, but it still has its arbiter.
    """
    arbiter.socket.send(messages.DRAIN)

    arbiter.channel.read()

    assert (True, False, 1) == (
        arbiter.channel.leaving,
        arbiter.channel.orphaned,
        row.leaving,
    )


@pytest.mark.parametrize("last_words", [b"", messages.DRAIN])
def test_the_end_of_the_channel_is_the_end_of_the_arbiter(arbiter, row, last_words):
    """
    Whatever it said before.
    """
    told = []
    arbiter.channel.close_when_orphaned([], lambda: told.append("orphaned"))
    arbiter.socket.send(last_words) if last_words else None
    arbiter.socket.close()

    for _ in range(3):
        arbiter.channel.read()

    assert (True, True, 1) == (
        arbiter.channel.leaving,
        arbiter.channel.orphaned,
        row.leaving,
    )
    assert ["orphaned"] == told


def test_what_has_been_heard_still_wakes_whoever_waits(arbiter):
    """
    The signal's handler may read the drain just before a wait begins: it must not last for ever.
    """
    poll = select.poll()
    arbiter.channel.register(poll)
    assert [] == poll.poll(0)
    arbiter.socket.send(messages.DRAIN)

    arbiter.channel.read()

    assert poll.poll(5_000)
    assert poll.poll(0)
    arbiter.channel.wait()


def test_a_descriptor_is_replaced_at_the_moment_of_leaving(arbiter, tmp_path):
    """
    Not before; and at once, if that moment has passed already.
    """
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    first, second, new = (os.open(tmp_path / name, os.O_RDONLY) for name in ("old", "old", "new"))
    try:
        arbiter.channel.replace_when_leaving(first, new)
        assert b"old" == os.pread(first, 10, 0)
        arbiter.socket.send(messages.DRAIN)
        arbiter.channel.read()
        arbiter.channel.replace_when_leaving(second, new)

        assert [b"new", b"new"] == [os.pread(fd, 10, 0) for fd in (first, second)]
    finally:
        for fd in (first, second, new):
            os.close(fd)


def test_the_log_is_taken_over(arbiter, tmp_path):
    """
    The arbiter hands over the new file; the worker need not be able to open it.
    """
    old, new, _ = files = [
        os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT) for name in ("old", "new", "unused")
    ]
    before = log.current()
    try:
        log.use(Log(fd=old))
        socket.send_fds(arbiter.socket, [messages.REOPEN], [new])
        arbiter.channel.read()
        log.current().info("after the rotation")
    finally:
        log.use(before)
        for fd in files:
            os.close(fd)

    assert "" == (tmp_path / "old").read_text()
    assert "after the rotation" in (tmp_path / "new").read_text()
    assert not arbiter.channel.leaving


def test_a_message_arrives(arbiter):
    """
    As a line.
    """
    arbiter.channel.send(messages.Ready(7))

    assert messages.encode(messages.Ready(7)) == arbiter.socket.recv(1000)


def test_a_message_to_nobody_is_lost_without_harm(arbiter):
    """
    The end of the channel says all that matters.
    """
    arbiter.socket.close()

    arbiter.channel.send(messages.Ready(7))
