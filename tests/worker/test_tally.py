"""What a worker counts in its row."""

import os
import threading

import pytest

from prefork.ipc.scoreboard import (
    W_ACCEPTED,
    W_ACTIVE,
    W_BUSY_SINCE,
    W_FAILED,
    W_HANDLED,
    W_HELD_SINCE,
    Scoreboard,
)
from prefork.platform.posix.system import memory_file
from prefork.worker.counters import LoopTally, SharedTally, SoleTally

SINCE = {SoleTally: W_BUSY_SINCE, SharedTally: W_BUSY_SINCE, LoopTally: W_HELD_SINCE}


@pytest.fixture
def row():
    fd = memory_file("scoreboard")
    yield Scoreboard.create(fd).row(0)
    os.close(fd)


def numbers(row):
    words = row.words
    return words[W_ACCEPTED], words[W_ACTIVE], words[W_HANDLED], words[W_FAILED]


@pytest.mark.parametrize("kind", SINCE)
@pytest.mark.parametrize("failed", [False, True])
def test_a_unit_is_counted_from_its_begin_to_its_end(row, kind, failed):
    """
    Accepted and active with its peer, then handled, and failed if it did.
    """
    tally = kind(row)

    token = tally.begin(("127.0.0.1", 5))

    assert (1, 1, 0, 0) == numbers(row)
    assert "127.0.0.1:5" == row.peer
    assert row.clock[SINCE[kind]] > 0
    tally.end(token, failed=failed)
    assert (1, 0, 1, int(failed)) == numbers(row)
    assert 0.0 == row.clock[W_BUSY_SINCE] == row.clock[W_HELD_SINCE]


def test_of_several_units_the_oldest_is_shown(row):
    """
    Since when a worker is busy is since its oldest unit began; so a hang among many is seen.
    """
    tally = SharedTally(row)
    first = tally.begin(("a", 1))
    since = row.clock[W_BUSY_SINCE]
    second = tally.begin(("b", 2))
    assert ("a:1", since) == (row.peer, row.clock[W_BUSY_SINCE])

    tally.end(first, failed=False)

    assert ("b:2", 1) == (row.peer, row.words[W_ACTIVE])
    assert since <= row.clock[W_BUSY_SINCE]
    tally.end(second, failed=True)
    assert (2, 0, 2, 1) == numbers(row)


def test_threads_do_not_lose_counts(row):
    """
    Eight threads, many units: the sums are right.
    """
    tally = SharedTally(row)

    def work():
        for _ in range(500):
            tally.end(tally.begin(None), failed=False)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (4000, 0, 4000, 0) == numbers(row)


def test_a_loop_tells_of_the_unit_that_it_holds_longest(row):
    """
    Whoever ends first; and it knows no limit for any of them.
    """
    tally = LoopTally(row)
    first, second, third = (tally.begin(("127.0.0.1", port)) for port in (1, 2, 3))
    since = row.clock[W_HELD_SINCE]

    tally.end(second, failed=False)
    assert ("127.0.0.1:1", since) == (row.peer, row.clock[W_HELD_SINCE])
    tally.end(first, failed=False)
    assert ("127.0.0.1:3", True) == (row.peer, row.clock[W_HELD_SINCE] > since)
    assert (1, 0.0) == (tally.active, row.clock[W_BUSY_SINCE])
    tally.end(third, failed=True)

    assert (3, 0, 3, 1) == numbers(row)
