"""The arbiter as a whole, in one process: start, death, hang, giving up, scaling, stop."""

import json
import socket
from dataclasses import replace

import msgspec
import pytest

from prefork.core.events import ReloadRequested
from prefork.core.limits import PoolLimits
from prefork.core.restart import RestartLimits
from prefork.core.scaling import ScalingLimits
from prefork.ipc import messages
from prefork.ipc.plan import read_plan
from prefork.platform.base import ForkOrder, SpawnOrder
from rig.fake_arbiter import FakeArbiter
from rig.fake_platform import Script


def fixed(workers, **limits):
    """Return the limits of a pool that does not scale."""
    scaling = ScalingLimits(minimum=workers, maximum=workers, spare=min(workers, 1))
    return PoolLimits(scaling=scaling, **limits)


@pytest.fixture
def arbiter():
    """
    Makes arbiters, ``arbiter(limits, script)``.
    """
    made = []

    def make(*args, **options):
        made.append(FakeArbiter(*args, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


class Dies(Script):
    """Dies before it is ready, though it could load the target."""

    def start(self, process):
        process.send(messages.Loaded())
        process.exit(1)


class Refused(Script):
    """Is not started by the system."""

    refusal = "Resource temporarily unavailable"


class CannotLoad(Script):
    """Cannot import the target."""

    def start(self, process):
        process.send(messages.Failed(process.pid, "there is no module app"))
        process.exit(4)


class Deaf(Script):
    """Comes up, and does nothing that it is asked for."""

    def read(self, process, word):
        pass


class Silent(Script):
    """Never becomes ready, and writes no stacks."""

    def start(self, process):
        pass

    def dump(self, process):
        pass


def test_workers_start_together_and_serve(arbiter):
    """
    Each in its slot, with its own number; the log tells the story.
    """
    world = arbiter(fixed(3))
    world.run_for(1)

    assert "running" == world.pool.state
    assert [0, 1, 2] == [process.child.slot for process in world.platform.living()]
    orders = [process.order for process in world.platform.processes]
    assert all(isinstance(order, SpawnOrder) for order in orders)
    assert 3 == len(world.log("worker started"))
    assert 3 == len(world.log("worker ready"))


def test_a_mold_forks_the_workers(arbiter):
    """
    It comes first, and each worker is an order to it.
    """
    world = arbiter(fixed(2, fork=True))
    world.run_for(1)

    mold, *workers = world.platform.processes
    assert mold.child.slot is None
    assert 2 == len(workers)
    assert all(isinstance(worker.order, ForkOrder) for worker in workers)
    assert "running" == world.pool.state


def test_a_mold_that_dies_takes_its_orders_along(arbiter):
    """
    A new one forks the workers that were not forked yet.
    """
    world = arbiter(fixed(1, fork=True))
    world.platform.script = lambda order: Script()
    world.run_for(1)
    mold = world.platform.process(None)
    mold.suspend()
    world.platform.process(0).die("SIGSEGV")
    world.run_for(1)
    assert 1 == len(world.platform.orders)
    mold.die("SIGKILL")
    world.run_for(1)

    assert "the mold died before it forked the worker" in str(world.log("worker not started"))
    assert [None, 0] == [process.child.slot for process in world.platform.living()]
    assert "running" == world.pool.state


@pytest.mark.parametrize("end", ["SIGSEGV", 0, 3])
def test_a_dead_worker_is_replaced_in_its_slot(arbiter, end):
    """
    At once, whatever it died of.
    """
    world = arbiter(fixed(2))
    world.run_for(100)
    victim = world.platform.process(1)
    victim.exit(end) if isinstance(end, int) else victim.die(end)
    world.run_for(0.5)

    assert 2 == len(world.platform.living())
    assert victim is not world.platform.process(1)
    [exited] = world.log("worker exited")
    assert (1, str(end) if isinstance(end, str) else f"exit {end}") == (
        exited["slot"],
        exited["status"],
    )


def test_last_words_count(arbiter):
    """
    A worker that reports why it fails, and dies, has failed for that reason.
    """
    world = arbiter(fixed(2), lambda order: CannotLoad())

    assert 4 == world.run_to_the_end()
    [failed] = world.log("target cannot be loaded")
    assert "there is no module app" == failed["reason"]


def test_a_worker_that_keeps_failing_is_started_ever_less_often_and_then_no_more(arbiter):
    """
    The waits double, and the server gives up after ``intensity`` failures.
    """
    limits = RestartLimits(first_delay=1.0, max_delay=4.0, intensity=5, period=600.0)
    world = arbiter(fixed(1, restart=limits), lambda order: Dies())
    before = world.platform.time

    assert 3 == world.run_to_the_end()
    assert 5 == len(world.platform.processes)
    assert 1 + 2 + 4 + 4 == pytest.approx(world.platform.time - before)
    assert 1 == len(world.log("giving up"))


def test_what_the_system_refuses_is_tried_again(arbiter):
    """
    And succeeds once the system has room.
    """
    world = arbiter(fixed(1), lambda order: Refused())
    world.run_for(1)
    assert [] == world.platform.processes
    assert "Resource temporarily unavailable" in str(world.log("worker not started"))

    world.platform.script = lambda order: Script()
    world.run_for(60)

    assert 1 == len(world.platform.living())


def test_a_worker_busy_for_too_long_is_recorded_and_replaced(arbiter, tmp_path):
    """
    Its stacks are taken before it is killed.
    """
    world = arbiter(fixed(2, timeout=5.0), incidents=tmp_path)
    world.run_for(1)
    world.take(0)
    hung = world.platform.process(0)
    world.run_for(4.9)
    assert hung.alive
    world.run_for(1.0)

    assert not hung.alive
    assert hung.child.doomed
    assert 2 == len(world.platform.living())
    [incident] = tmp_path.iterdir()
    assert ["Thread 1 (most recent call first):"] == json.loads(incident.read_text())["stacks"]
    assert "hung" == world.log("worker exited")[0]["cause"]


def test_a_worker_that_never_becomes_ready_is_given_up(arbiter, tmp_path):
    """
    After ``boot_timeout``, whether it writes its stacks or not.
    """
    world = arbiter(fixed(1, boot_timeout=3.0), lambda order: Silent(), incidents=tmp_path)
    world.run_for(2.9)
    assert world.platform.process(0).alive
    world.platform.script = lambda order: Script()
    world.run_for(2.0)

    assert "running" == world.pool.state
    assert 2 == len(world.platform.processes)
    assert 1 == len(list(tmp_path.iterdir()))


def test_a_suspended_worker_is_replaced_and_a_resumed_one_is_not(arbiter):
    """
    As if it were busy for as long.
    """
    world = arbiter(fixed(1, timeout=5.0))
    world.run_for(1)
    world.platform.process(0).suspend()
    world.run_for(4)
    world.platform.process(0).resume()
    world.run_for(10)
    assert 1 == len(world.platform.processes)

    world.platform.process(0).suspend()
    world.run_for(6)

    assert 2 == len(world.platform.processes)


def test_a_kill_for_want_of_memory_is_called_that(arbiter):
    """
    Unless the arbiter itself has killed it.
    """
    world = arbiter(fixed(1))
    world.run_for(1)
    world.platform.memory_kills = 1
    world.platform.process(0).die("SIGKILL")
    world.run_for(1)

    assert ["out of memory"] == [line["cause"] for line in world.log("worker exited")]


def test_the_pool_grows_with_the_load_and_shrinks_after_it(arbiter):
    """
    Within its limits.
    """
    scaling = ScalingLimits(minimum=1, maximum=4, spare=1, scale_down_delay=10.0)
    world = arbiter(PoolLimits(scaling=scaling))
    world.run_for(1)
    assert 1 == len(world.platform.living())
    for slot in range(4):
        world.take(slot)
        world.run_for(2)
    assert 4 == len(world.platform.living())

    for slot in range(4):
        world.finish(slot)
    world.run_for(100)

    assert len(world.platform.living()) <= 2


@pytest.mark.parametrize("fork", [False, True])
def test_a_stop_drains_everybody(arbiter, fork):
    """
    Each gets the word once, and the exit status is 0.
    """
    world = arbiter(fixed(3, fork=fork))
    world.run_for(1)
    workers = [each for each in world.platform.living() if each.child.slot is not None]
    world.platform.raise_signal("SIGTERM")

    assert 0 == world.run_to_the_end()
    assert [[messages.DRAIN]] * 3 == [process.words for process in workers]
    assert ["stopped"] * 3 == [line["cause"] for line in world.log("worker exited")]


def test_a_stop_wakes_the_deaf_again_and_kills_them_in_the_end(arbiter):
    """
    After ``graceful_timeout``, and not before; one that acknowledges is not woken any more.
    """
    world = arbiter(fixed(2, graceful_timeout=5.0), lambda order: Deaf())
    world.run_for(1)
    first, second = (world.platform.process(slot) for slot in (0, 1))
    world.leave(1)
    before = world.platform.time
    world.platform.raise_signal("SIGTERM")

    world.run_to_the_end()
    assert before + 5.0 == pytest.approx(world.platform.time)
    assert first.wakes > 50
    assert 0 == second.wakes
    assert first.child.doomed
    assert second.child.doomed


def test_a_stop_at_once_kills(arbiter):
    """
    No process is asked to leave.
    """
    world = arbiter(fixed(2), lambda order: Deaf())
    world.run_for(1)
    before = world.platform.time
    world.platform.raise_signal("SIGQUIT")

    world.run_to_the_end()
    assert before == world.platform.time
    assert [[], []] == [process.words for process in world.platform.processes]


def plan_of(process):
    """Return the plan that ``process``, which was not forked, gets."""
    order = process.order
    words = order.arguments if isinstance(order, SpawnOrder) else order.argv
    return read_plan(int(words[words.index("--plan") + 1]))


def workers(world):
    return [each for each in world.platform.living() if each.child.slot is not None]


def molds(world):
    return [each for each in world.platform.living() if each.child.slot is None]


def test_a_reload_replaces_mold_and_workers(arbiter):
    """
    Each generation has a mold and a plan of its own; the old ones go, and no worker is killed.
    """
    world = arbiter(fixed(3, fork=True))
    world.run_for(1)
    [old] = molds(world)
    assert 1 == plan_of(old).generation
    before = workers(world)
    world.arbiter.apply(ReloadRequested())
    world.run_for(60)
    [new] = molds(world)

    assert 2 == plan_of(new).generation
    assert old.is_disconnected
    assert [2, 2, 2] == [each.child.generation for each in workers(world)]
    assert "running" == world.pool.state
    assert 2 == world.scoreboard.header.generation
    assert [[messages.DRAIN]] * 3 == [each.words for each in before]
    assert [] == [each for each in world.platform.processes if each.child.doomed]
    assert {"retired"} == {line["cause"] for line in world.log("worker exited", "mold exited")}
    with pytest.raises(OSError, match="Bad file descriptor"):
        plan_of(old)  # it is closed


def test_a_reload_without_molds_gives_each_worker_the_plan_of_its_generation(arbiter):
    """
    Spawned workers read it themselves.
    """
    world = arbiter(fixed(2))
    world.run_for(1)
    assert [1, 1] == [plan_of(each).generation for each in workers(world)]
    world.arbiter.apply(ReloadRequested())
    world.run_for(60)

    assert [2, 2] == [plan_of(each).generation for each in workers(world)]
    assert "running" == world.pool.state


@pytest.mark.parametrize("fork", [False, True])
def test_a_generation_that_cannot_be_loaded_is_rolled_back(arbiter, fork):
    """
    The old one serves on as if nothing had happened, and the next attempt can succeed.
    """
    world = arbiter(
        fixed(2, fork=fork), lambda order: CannotLoad() if order.generation > 1 else Script()
    )
    world.run_for(1)
    before = world.platform.living()
    world.arbiter.apply(ReloadRequested())
    world.run_for(60)

    assert before == world.platform.living()
    assert [[]] * len(before) == [each.words for each in before]
    assert "running" == world.pool.state
    assert "generation 2 is rolled back" in str(world.log("pool decided"))

    world.platform.script = lambda order: Script()
    world.arbiter.apply(ReloadRequested())
    world.run_for(60)

    assert {each.child.generation for each in world.platform.living()} in ({2}, {3})


class ForeignProgram(Script):
    """Replaces the launcher at once, and reports nothing."""

    def start(self, process):
        process.theirs.shutdown(socket.SHUT_WR)


def test_programs_are_run_and_ended_as_the_settings_of_their_generation_ask_for(arbiter):
    """
    A new generation may have another plan, and another signal that ends its programs.
    """
    limits = fixed(2, ready_after=0.5)
    world = arbiter(limits, lambda order: ForeignProgram(), runs_programs=True)
    world.run_for(5)
    first = workers(world)
    assert [1, 1] == [plan_of(each).generation for each in first]

    plan = world.generations.plan
    changed = replace(plan.settings, stop_signal="INT", timeout=7.0)
    world.generations.plan = msgspec.structs.replace(plan, settings=changed)
    world.arbiter.apply(ReloadRequested())
    world.run_for(60)
    second = workers(world)
    assert [["SIGTERM"]] * 2 == [each.signals for each in first]
    assert [2, 2] == [plan_of(each).generation for each in second]
    assert {7.0} == {plan_of(each).settings.timeout for each in second}

    world.platform.raise_signal("SIGTERM")
    assert 0 == world.run_to_the_end()
    assert [["SIGINT"]] * 2 == [each.signals for each in second]
