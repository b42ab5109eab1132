"""The pool's size under simulated load: settling time, overshoot, flapping."""

from itertools import pairwise

import pytest
from simulator import Simulation

from prefork.core.limits import ScalingLimits
from prefork.core.pool import PoolLimits


def simulation(minimum: int, maximum: int, *, boot: float = 0.005, **scaling) -> Simulation:
    limits = ScalingLimits(minimum=minimum, maximum=maximum, **scaling)
    return Simulation(PoolLimits(scaling=limits, timeout=0.0), boot=boot)


def test_a_step_of_held_connections_is_served_within_a_second():
    """
    From 0 to 8 held connections with a light boot: each is served, in four steps.
    """
    server = simulation(1, 8)
    server.run(5.0)

    server.arrive(5.0, holds=20.0, clients=8)
    server.run(10.0)

    assert 8 == len(server.waits)
    assert max(server.waits) < 0.3
    assert [2, 3, 5, 8] == server.targets_since(4.9)


def test_connections_one_after_the_other_are_served_within_a_second_each():
    """
    Eight held connections, 50 ms apart, find a pool that grows along with them.
    """
    server = simulation(1, 8)

    for number in range(8):
        server.arrive(1.0 + number * 0.05, holds=20.0)
    server.run(5.0)

    assert 8 == len(server.waits)
    assert max(server.waits) < 0.2
    assert sorted(server.targets_since(0.0)) == server.targets_since(0.0)


def test_after_the_step_the_pool_goes_back_one_by_one_without_turning_back():
    """
    The surplus lasts the whole delay, then one worker goes each second, and no new one comes.
    """
    server = simulation(1, 8)
    server.arrive(1.0, holds=10.0, clients=8)

    server.run(40.9)
    before_the_delay_is_over = server.ready
    server.run(60.0)

    assert 8 == before_the_delay_is_over
    assert [7, 6, 5, 4, 3, 2, 1] == server.targets_since(2.0)
    assert 1 == server.ready
    assert server.targets[-1][0] <= 11.0 + 1.0 + 30.0 + 7.0


def test_a_spike_grows_the_pool_once_and_costs_no_worker_more_than_needed():
    """
    A burst of short work: at most one worker for each client and the spare, and one way down.
    """
    server = simulation(1, 32, scale_down_delay=5.0)
    server.arrive(1.0, holds=0.2, clients=12)

    server.run(60.0)

    assert 12 == len(server.waits)
    assert server.most_workers <= 13
    assert 1 == server.ready
    assert turns(server) <= 1


def test_a_sawtooth_shorter_than_the_delay_does_not_flap():
    """
    Load that comes back within the delay finds the workers still there: one way up, one down.
    """
    server = simulation(1, 16, scale_down_delay=10.0)
    for tooth in range(12):
        server.arrive(1.0 + tooth * 5.0, holds=2.0, clients=6)

    server.run(50.0)
    settled = server.targets_since(2.0)
    late = server.waits[6:]
    server.run(120.0)

    assert [] == settled
    assert 0.0 == max(late)
    assert 1 == server.ready
    assert turns(server) == 1


def test_a_slow_boot_does_not_overshoot():
    """
    Workers that take 3 s to boot count as capacity at once: never more than are needed.
    """
    server = simulation(1, 32, boot=3.0)
    server.run(4.0)

    server.arrive(5.0, holds=30.0, clients=6)
    server.run(20.0)

    assert 6 == len(server.waits)
    assert max(server.waits) < 3.5
    assert 7 == server.most_workers


def test_a_slow_boot_under_a_queue_that_stays_asks_for_no_more_than_the_queue():
    """
    Short work piling up behind a slow boot: the pool never exceeds clients plus spare.
    """
    server = simulation(1, 32, boot=3.0)
    server.run(4.0)

    server.arrive(5.0, holds=0.5, clients=5)
    server.run(30.0)

    assert 5 == len(server.waits)
    assert server.most_workers <= 6


@pytest.mark.parametrize("spare", [0, 1])
def test_one_long_request_on_the_only_worker_does_not_block_the_next_client(spare):
    """
    The accept queue is demand too, so that the second client gets a worker of its own.
    """
    server = simulation(1, 4, spare=spare)
    server.arrive(1.0, holds=100.0)

    server.arrive(50.0, holds=0.1)
    server.run(60.0)

    assert 2 == len(server.waits)
    assert max(server.waits) < 0.1


def test_scale_to_zero_and_back():
    """
    No worker without a client; the first client has one after the boot; later it goes.
    """
    server = simulation(0, 4, scale_down_delay=5.0)
    server.run(10.0)
    at_rest = server.most_workers

    server.arrive(10.0, holds=0.1)
    server.run(13.0)
    served = list(server.waits)
    server.run(60.0)

    assert 0 == at_rest
    assert served == [pytest.approx(0.005)]
    assert {} == server.workers
    assert 1 == turns(server)


def test_a_pool_at_rest_sleeps():
    """
    Nothing to do, nothing to look at: no decision in a whole hour, and a held connection on a
    pool without surplus costs none either.
    """
    server = simulation(2, 8, spare=0)
    server.arrive(5.0, holds=10_000.0)
    server.run(60.0)
    before = server.decisions

    server.run(3_660.0)

    assert before == server.decisions


def test_a_fixed_pool_neither_looks_nor_watches():
    """
    With minimum and maximum the same, load changes nothing and wakes no process.
    """
    server = simulation(4, 4)
    server.run(1.0)
    before = server.decisions

    server.arrive(2.0, holds=1.0, clients=50)
    server.run(30.0)

    assert not server.pool.watching
    assert before == server.decisions


def test_steady_traffic_costs_ten_looks_a_second_at_most():
    """
    A hundred short connections a second do not wake the arbiter a hundred times.

    Each is over before the next look: only that the number of accepted ones has risen shows that
    there is traffic, so that the next arrival need not wake the arbiter.
    """
    server = simulation(1, 8)
    for number in range(1_000):
        server.arrive(1.0 + number * 0.01, holds=0.001)

    server.run(11.0)

    assert server.decisions <= 10 * 11


def test_a_probe_now_and_then_keeps_no_surplus_alive():
    """
    A health check every 5 s on a big idle pool: it is seen as what it is, one connection.
    """
    server = simulation(1, 8, scale_down_delay=10.0)
    server.arrive(1.0, holds=3.0, clients=8)
    for number in range(20):
        server.arrive(10.0 + number * 5.0, holds=0.001)

    server.run(60.0)

    assert server.ready <= 2


def turns(server: Simulation) -> int:
    """Return how often the target changed its direction."""
    targets = [target for _, target in server.targets]
    ups = [after > before for before, after in pairwise(targets)]
    return sum(one != other for one, other in pairwise(ups))
