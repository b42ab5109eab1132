"""What a worker counts in its row."""

import os
import threading

import pytest

from prefork.ipc.scoreboard import Scoreboard
from prefork.platform.posix.system import memory_file
from prefork.worker.counters import LoopCounters, SingleCounters, ThreadedCounters

SINCE = {SingleCounters: "busy_since", ThreadedCounters: "busy_since", LoopCounters: "held_since"}


@pytest.fixture
def row():
    fd = memory_file("scoreboard")
    yield Scoreboard.create(fd).row(0)
    os.close(fd)


def numbers(row):
    assert row.connections == row.active
    return row.accepted, row.active, row.handled, row.failed


@pytest.mark.parametrize("kind", SINCE)
@pytest.mark.parametrize("failed", [False, True])
def test_a_unit_is_counted_from_its_begin_to_its_end(row, kind, failed):
    """
    Accepted and active with its peer, then handled, and failed if it did.
    """
    counters = kind(row)

    token = counters.begin(("127.0.0.1", 5))

    assert (1, 1, 0, 0) == numbers(row)
    assert ("127.0.0.1", 5) == row.peer
    assert getattr(row, SINCE[kind]) > 0
    counters.end(token, failed=failed)
    assert (1, 0, 1, int(failed)) == numbers(row)
    assert 0.0 == row.busy_since == row.held_since


@pytest.mark.parametrize("kind", SINCE)
def test_a_successor_counts_on(row, kind):
    """
    The counters belong to the slot, whose former worker has counted before.
    """
    row.accepted, row.handled, row.failed = 7, 6, 2
    counters = kind(row)

    counters.end(counters.begin(None), failed=True)

    assert (8, 0, 7, 3) == numbers(row)


@pytest.mark.parametrize("kind", SINCE)
@pytest.mark.parametrize(
    ("address", "peer"),
    [
        (("127.0.0.1", 5), ("127.0.0.1", 5)),
        (("::1", 5, 0, 0), ("::1", 5)),
        (("0.0.0.0", 0), ("0.0.0.0", 0)),
        ("", ""),
        ("/run/client", "/run/client"),
        (b"/run/client", "/run/client"),
        (None, ""),
        ("/" + "x" * 200, "/" + "x" * 63),
        (b"\0abstract", ""),
    ],
)
def test_every_address_has_its_place_in_the_row(row, kind, address, peer):
    """
    As ``accept`` names clients, also where it is too long, or no text.
    """
    kind(row).begin(address)

    assert peer == row.peer


def test_of_several_units_the_oldest_is_shown(row):
    """
    Since when a worker is busy is since its oldest unit began; so a hang among many is seen.
    """
    counters = ThreadedCounters(row)
    first = counters.begin(("a", 1))
    since = row.busy_since
    second = counters.begin(("b", 2))
    assert (("a", 1), since) == (row.peer, row.busy_since)

    counters.end(first, failed=False)

    assert (("b", 2), 1) == (row.peer, row.active)
    assert since <= row.busy_since
    counters.end(second, failed=True)
    assert (2, 0, 2, 1) == numbers(row)


def test_threads_do_not_lose_counts(row):
    """
    Eight threads, many units: the sums are right.
    """
    counters = ThreadedCounters(row)

    def work():
        for _ in range(500):
            counters.end(counters.begin(None), failed=False)

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
    counters = LoopCounters(row)
    first, second, third = (counters.begin(("127.0.0.1", port)) for port in (1, 2, 3))
    since = row.held_since

    counters.end(second, failed=False)
    assert (("127.0.0.1", 1), since) == (row.peer, row.held_since)
    counters.end(first, failed=False)
    assert (("127.0.0.1", 3), True) == (row.peer, row.held_since > since)
    assert (1, 0.0) == (counters.connections, row.busy_since)
    counters.end(third, failed=True)

    assert (3, 0, 3, 1) == numbers(row)
