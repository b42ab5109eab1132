"""How many workers there should be, and how fast."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.core.balance import idler_limit
from prefork.core.limits import ScalingLimits
from prefork.core.scaling import Levels, Scaling, growth, next_step, wanted
from prefork.core.snapshot import Look


def limits(minimum=1, maximum=8, **others):
    return ScalingLimits(minimum=minimum, maximum=maximum, **others)


def look(now, active=0, queued=0, *, accepted=0, can_shrink=True, arrived=False):
    return Look(
        now=now,
        active=active,
        queued=queued,
        accepted={0: accepted},
        can_shrink=can_shrink,
        arrived=arrived,
    )


@pytest.mark.parametrize(
    ("demand", "given_limits", "expected"),
    [
        (0, limits(), 1),
        (1, limits(), 2),
        (7, limits(), 8),
        (8, limits(), 8),
        (5_000, limits(), 8),
        (10**9, limits(maximum=4_096), 4_096),
        (0, limits(spare=3), 3),
        (1, limits(spare=0), 1),
        (0, limits(minimum=0), 0),
        (1, limits(minimum=0), 2),
        (0, limits(minimum=0, maximum=0), 0),
        (5, limits(minimum=0, maximum=0), 0),
        (8, limits(capacity=8), 2),
        (9, limits(capacity=8), 3),
        (0, limits(minimum=4), 4),
        (0, limits(minimum=4, maximum=4), 4),
    ],
)
def test_demand_over_capacity_and_the_spare_within_the_limits(demand, given_limits, expected):
    """
    Wanted is ceil(demand / capacity) + spare between the limits, and 0 on demand without any.
    """
    assert expected == wanted(demand, given_limits)


@pytest.mark.parametrize(
    ("deficit", "step", "expected"), [(0, 1, 0), (-3, 4, 0), (1, 32, 1), (9, 4, 4), (5_000, 32, 32)]
)
def test_growth_is_bounded_by_the_deficit_and_the_step(deficit, step, expected):
    """
    Add the step, but never more than are missing.
    """
    assert expected == growth(deficit, step)


def test_the_step_doubles_up_to_32():
    """
    1, 2, 4, 8, 16, 32 and then no more, however long it lasts.
    """
    steps = [1]
    for _ in range(5_000):
        steps.append(next_step(steps[-1]))

    assert [1, 2, 4, 8, 16, 32, 32] == steps[:7]
    assert 32 == steps[-1]


@given(st.integers(0, 10**9), st.integers(0, 50), st.integers(0, 50), st.integers(1, 100))
def test_wanted_is_always_within_the_limits(demand, minimum, more, capacity):
    """
    No demand asks for more than the maximum or less than the minimum.
    """
    some = limits(minimum, minimum + more, capacity=capacity)

    assert minimum <= wanted(demand, some) <= minimum + more


def test_the_pool_grows_in_doubling_steps_that_are_a_moment_apart():
    """
    A deficit of many: 1, 2, 4, .. more, not before 0.05 s each.
    """
    size = Scaling(limits(maximum=100), 0.0)

    targets = []
    for tick in range(16):
        size.look(look(tick * 0.025, active=60))
        targets.append(size.target)

    assert [2, 2, 4, 4, 8, 8, 16, 16, 32, 32, 61, 61] == targets[:12]


def test_the_first_step_from_zero_is_taken_at_once():
    """
    An empty pool does not wait for the pace: no worker serves its first client.
    """
    size = Scaling(limits(minimum=0, scale_down_delay=0.0), 0.0)
    size.look(look(1.0, queued=1))
    size.change_limits(limits(minimum=0, maximum=0), 1.01)
    size.change_limits(limits(minimum=0), 1.02)

    change = size.look(look(1.03, queued=1))

    assert change is not None
    assert (0, 1) == (change.before, change.after)


def test_a_surplus_has_to_last_before_one_worker_goes():
    """
    One worker, when fewer have been wanted for the whole delay; the next a second later.
    """
    size = Scaling(limits(minimum=1, scale_down_delay=10.0), 0.0)
    for moment in (0.0, 0.05, 0.1):
        size.look(look(moment, active=4))
    size.look(look(5.0, active=4))

    # It ended somewhere between 5.0 and 6.0; nobody knows, so it counts until 6.0.
    targets = []
    for moment in (6.0, 15.9, 16.0, 16.9, 17.0, 18.0, 30.0):
        size.look(look(moment))
        targets.append(size.target)

    assert [5, 5, 4, 4, 3, 2, 1] == targets


def test_a_busy_worker_never_goes():
    """
    A surplus of workers none of which is idle is left alone, and looked at again.
    """
    size = Scaling(limits(scale_down_delay=1.0, capacity=4, spare=0), 0.0)
    size.look(look(0.0, active=16))
    size.look(look(0.05, active=16))

    change = size.look(look(5.0, active=3, can_shrink=False))
    later = size.look(look(10.0, active=3, can_shrink=False))

    assert change is None
    assert later is None
    assert size.next_look == 11.0


def test_without_knowing_the_queue_the_busy_ones_decide():
    """
    Unknown depth: growth comes from work in progress.
    """
    size = Scaling(limits(minimum=0), 0.0)

    quiet = size.look(look(1.0, queued=None))
    busy = size.look(look(3.0, active=2, queued=None))

    assert quiet is None
    assert busy is not None
    assert "2 units in progress and an unknown number waiting want 3 workers" == busy.why


@pytest.mark.parametrize(
    ("seen", "hot"),
    [
        (look(5.0), False),
        (look(5.0, queued=1), True),
        (look(5.0, accepted=1), True),
        (look(5.0, arrived=True), True),
        (look(5.0, active=1), False),
    ],
)
def test_traffic_is_looked_at_again_soon_and_not_watched_meanwhile(seen, hot):
    """
    Waiting, risen or arrived: hot for 0.1 s. Otherwise the next arrival wakes the arbiter.
    """
    size = Scaling(limits(maximum=100), 0.0)
    size.look(look(1.0))

    size.look(seen)

    assert hot is not size.watching(5.0)


@pytest.mark.parametrize(
    ("seen", "next_look"),
    [
        (look(5.0), 7.0),  # at rest; somebody may take the spare worker unnoticed
        (look(5.0, active=1), 6.0),  # the end of the work leaves a surplus
        (look(5.0, queued=1), 5.1),
    ],
)
def test_the_next_look_is_when_something_can_have_changed(seen, next_look):
    """
    Soon after traffic, each second during long work, each other second at rest.
    """
    size = Scaling(limits(), 0.0)

    size.look(seen)

    assert next_look == size.next_look


def test_without_spare_workers_nothing_happens_unnoticed_at_rest():
    """
    A client that finds no idle worker waits in the queue, which wakes the arbiter.
    """
    size = Scaling(limits(spare=0), 0.0)

    size.look(look(5.0))

    assert size.next_look is None


def test_a_pool_at_its_maximum_that_needs_it_all_is_left_alone():
    """
    With all workers wanted, an arrival can change nothing: no watching, a look each second.
    """
    size = Scaling(limits(maximum=2), 0.0)
    size.look(look(1.0, active=1, queued=5))

    size.look(look(2.0, active=2, queued=5))

    assert not size.watching(2.0)
    assert size.next_look == 3.0


def test_other_limits_make_a_surplus_wait_its_whole_time():
    """
    A pool that was fixed at 8 and may shrink now has to be idle for the delay first.
    """
    size = Scaling(limits(minimum=8), 0.0)

    size.change_limits(limits(minimum=1), 100.0)
    size.look(look(100.0))
    early = size.look(look(129.9))
    late = size.look(look(130.0))

    assert early is None
    assert late is not None


def test_only_the_highest_level_counts_and_only_for_a_while():
    """
    Lower levels before a higher one are forgotten; a level is too when it is too old.
    """
    levels = Levels(1, 0.0)
    seen = []
    for moment, level in enumerate([3, 8, 2, 5, 1, 1, 1, 1, 1]):
        levels.add(level, float(moment), 3.0)
        seen.append(levels.highest())

    assert [3, 8, 8, 8, 8, 5, 5, 1, 1] == seen


@given(
    st.lists(
        st.tuples(st.floats(0.001, 5.0), st.integers(0, 40), st.integers(0, 40), st.booleans()),
        max_size=60,
    ),
    st.integers(0, 3),
    st.integers(0, 20),
    st.sampled_from([0.0, 0.5, 30.0]),
)
def test_whatever_the_load_the_target_keeps_the_limits_and_looks_lie_ahead(
    load, minimum, more, delay
):
    """
    In every history: minimum <= target <= maximum, one down at a time, never a look in the past.
    """
    size = Scaling(limits(minimum, minimum + more, scale_down_delay=delay), 0.0)
    now = 0.0
    for pause, active, queued, can_shrink in load:
        now += pause
        before = size.target
        size.look(look(now, active, queued, can_shrink=can_shrink))

        assert minimum <= size.target <= minimum + more
        assert size.target >= before - 1
        assert size.next_look is None or size.next_look > now


@pytest.mark.parametrize(
    ("mine", "limit"),
    [
        (0, 0),
        (1, 0),
        (2, 1),
        (3, 1),
        (4, 2),
        (5, 3),
        (16, 14),
        (32, 29),
        (160, 149),
        (10**6, 937_499),
    ],
)
def test_a_peer_is_clearly_better_off_with_much_less(mine, limit):
    """
    Nothing against two or more; else three less and a sixteenth.
    """
    assert limit == idler_limit(mine)


@given(st.integers(0, 10**9))
def test_a_peer_that_is_better_off_still_is_with_one_unit_more(mine):
    """
    Otherwise two workers would pass connections to each other for ever.
    """
    held = idler_limit(mine) - 1

    assert held + 1 < mine or held < 0
