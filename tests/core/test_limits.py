"""What ``auto`` means: how many workers, and how they accept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.core.limits import (
    AutomaticMaximum,
    accept_mode,
    accept_mode_of_kind,
    automatic_maximum,
)


@pytest.mark.parametrize(
    ("cpus", "most", "blocking", "event_loop"),
    [
        (1, None, 4, 1),
        (8, None, 32, 8),
        (64, 60, 60, 60),
        (32, 60, 60, 32),
        (1, 1, 1, 1),
        (10_000, None, 40_000, 10_000),
    ],
)
def test_automatic_is_four_for_each_cpu_or_one_for_event_loops(cpus, most, blocking, event_loop):
    """
    Blocking workers wait most of the time; no more than the platform can have.
    """
    expected = AutomaticMaximum(blocking, event_loop)

    assert expected == automatic_maximum(cpus, most)
    assert blocking == expected.of(is_loop=False)
    assert event_loop == expected.of(is_loop=True)


@given(st.integers(1, 10**6), st.none() | st.integers(1, 500))
def test_an_automatic_maximum_is_a_size_that_the_platform_can_have(cpus, most):
    """
    At least 1, at most the cap, and event loops never need more workers than blocking ones.
    """
    maximum = automatic_maximum(cpus, most)

    assert 1 <= maximum.event_loop <= maximum.blocking
    assert most is None or maximum.blocking <= most


def mode(setting="auto", listeners=1, *, program=False, wakes_one=True):
    return accept_mode(setting, listeners, is_program=program, kernel_wakes_one=wakes_one)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("blocking", mode()),
        ("exclusive", mode(listeners=2)),
        ("mutex", mode(wakes_one=False)),
        ("mutex", mode(listeners=2, wakes_one=False)),
        ("mutex", mode("mutex")),
        ("blocking", mode("blocking", 2)),
        ("exclusive", mode("exclusive", wakes_one=False)),
        ("program", mode(program=True)),
        ("program", mode("mutex", program=True)),
    ],
)
def test_how_workers_accept(expected, actual):
    """
    What was set, but for a foreign program, which accepts in its own way; else what is best.
    """
    assert expected == actual


@pytest.mark.parametrize(
    ("chosen", "is_loop", "expected"),
    [
        ("blocking", True, "exclusive"),
        ("blocking", False, "blocking"),
        ("exclusive", True, "exclusive"),
        ("mutex", True, "mutex"),
        ("program", False, "program"),
    ],
)
def test_an_event_loop_does_not_block_in_accept(chosen, is_loop, expected):
    """
    That is known only once the kind is.
    """
    assert expected == accept_mode_of_kind(chosen, is_loop=is_loop)


@given(
    st.sampled_from(["auto", "blocking", "exclusive", "mutex"]),
    st.integers(1, 50),
    st.booleans(),
    st.booleans(),
)
def test_every_way_to_accept_is_resolved(setting, listeners, program, wakes_one):
    """
    Whatever is set, and whatever the system can do: no ``auto``, and no loop that blocks.
    """
    chosen = mode(setting, listeners, program=program, wakes_one=wakes_one)

    assert chosen != "auto"
    assert program is (chosen == "program")
    assert accept_mode_of_kind(chosen, is_loop=True) != "blocking"
