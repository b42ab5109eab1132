"""Whom a worker with an event loop would rather see take a connection."""

import os
from time import monotonic

import pytest

from prefork.ipc.scoreboard import Scoreboard
from prefork.platform.posix.system import memory_file
from prefork.worker.accept.peers import Peers


@pytest.fixture
def board():
    fd = memory_file("scoreboard")
    yield Scoreboard.create(fd)
    os.close(fd)


def settle(board, *actives):
    """Enter ready workers, asleep, that hold ``actives``; the process of slot n is 100 + n."""
    board.header.used_slots = len(actives)
    for slot, active in enumerate(actives):
        board.row(slot).connections = active
        board.record(slot).pid, board.record(slot).state = 100 + slot, "ready"


def chosen(board, mine, slot=0):
    sibling = Peers(board, slot).idler_than(mine)
    return sibling and sibling.pid


@pytest.mark.parametrize(
    ("actives", "expected"),
    [
        ([0, 0], None),  # we are idle ourselves
        ([1, 0], None),
        ([2, 0], 101),
        ([2, 1], None),
        ([3, 0], 101),
        ([3, 1], None),
        ([4, 1], 101),
        ([9, 8, 0, 3], 102),
        ([17, 15], None),
        ([17, 14], 101),
        ([1000, 937], None),
        ([1000, 936], 101),
        ([5], None),
    ],
)
def test_a_worker_gives_way_to_one_that_is_clearly_idler(board, actives, expected):
    """
    To one that holds three units less, and a sixteenth, or nothing; the one that holds fewest.
    """
    settle(board, *actives)

    assert expected == chosen(board, actives[0])


def test_of_equals_it_is_not_always_the_same(board):
    """
    Each prefers the next one after itself.
    """
    settle(board, 4, 0, 4, 0)

    assert [101, 103] == [chosen(board, 4, slot=slot) for slot in (0, 2)]


@pytest.mark.parametrize("state", ["", "starting", "draining", "killed"])
def test_who_is_not_ready_is_left_alone(board, state):
    """
    It would not take the connection.
    """
    settle(board, 5, 0)
    board.record(1).state = state

    assert None is Peers(board, 0).idler_than(5)


def test_who_leaves_is_left_alone(board):
    """
    Nor would a worker that was told to go.
    """
    settle(board, 5, 0)
    board.row(1).leaving = 1

    assert None is Peers(board, 0).idler_than(5)


@pytest.mark.parametrize(
    ("ago", "asleep"),
    [(0.0, False), (1.0, None), (-1.0, True), (None, True)],
)
def test_who_seems_to_be_blocked_is_left_alone(board, ago, asleep):
    """
    A turn takes no time as a rule; who is awake need not be woken.

    A moment in the future is the next beat of a uvloop, and 0 a loop that sleeps.
    """
    settle(board, 5, 0)
    board.row(1).turn_since = 0.0 if ago is None else monotonic() - ago

    sibling = Peers(board, 0).idler_than(5)

    assert asleep == (sibling and sibling.asleep)
