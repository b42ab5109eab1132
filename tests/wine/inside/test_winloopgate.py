"""The gate of event loops: whom it lets in and when, and whom it leaves to others."""

import asyncio
from time import monotonic

import pytest
from loopworld import for_a_while, in_loop, until, world

__all__ = ["world"]  # a fixture


@in_loop
async def test_the_next_one_is_taken_when_the_last_has_had_its_turn(world):
    """
    And not before: if the first thing that it asks for blocks the loop, nobody else waits.
    """
    worker, clients = world.worker(), [world.client() for _ in range(3)]
    for count in (1, 2, 3):
        await until(lambda count=count: len(worker.taken) == count)
        await for_a_while()
        assert count == len(worker.taken)
        worker.settle()

    assert {client.getsockname() for client in clients} == set(worker.taken)


@in_loop
async def test_no_more_are_taken_than_it_has_room_for(world):
    """
    At its limit a worker is not at the gate.
    """
    worker, _ = world.worker(limit=2), [world.client() for _ in range(3)]
    for count in (1, 2):
        await until(lambda count=count: len(worker.taken) == count)
        worker.settle()
    await for_a_while()
    assert 2 == len(worker.taken)

    worker.finish()

    await until(lambda: len(worker.taken) == 3)


@in_loop
async def test_the_order_to_leave_ends_every_wait(world):
    """
    For a connection and for the mutex at once; for room when there is some.
    """
    full = world.worker(limit=1)
    world.client()
    await until(lambda: full.taken)
    first, second = world.worker(), world.worker()
    await for_a_while()

    for worker in (second, first, full):
        worker.stop.set()
        if worker is full:
            worker.finish()
        assert await worker.gate.left is None


@in_loop
async def test_a_stuck_loop_leaves_connections_to_others(world):
    """
    Also when it has the mutex already; it comes back when it is stuck no more.
    """
    stuck = world.worker()
    await for_a_while()
    other = world.worker()
    stuck.row.turn_since = monotonic() - 1.0

    world.client()
    await until(lambda: other.taken)
    assert [] == stuck.taken

    stuck.row.turn_since = 0.0
    world.client()
    await until(lambda: stuck.taken)


@in_loop
async def test_an_idler_sibling_is_let_go_first(world):
    """
    Whoever holds more and has the mutex passes it on.
    """
    loaded = world.worker(holds=20)
    await for_a_while()
    idle = world.worker()
    for count in range(1, 9):
        world.client()
        await until(lambda count=count: len(idle.taken) == count)
        idle.settle()
        await for_a_while()

    assert [] == loaded.taken


@in_loop
async def test_what_an_idler_sibling_does_not_take_is_taken(world):
    """
    One that looks idler on the scoreboard may not be at the gate.
    """
    loaded, full = world.worker(holds=20), world.worker(holds=1, limit=1)
    assert 1 == full.row.active

    for count in (1, 2, 3):
        world.client()
        await until(lambda count=count: len(loaded.taken) == count)
        loaded.settle()


@in_loop
async def test_a_gate_that_breaks_says_so(world):
    """
    Otherwise a worker would live on and take nothing.
    """
    worker = world.worker()
    world.client()
    await until(lambda: worker.taken)
    world.listener.detach()
    worker.settle()

    await asyncio.wait([worker.gate.left])
    with pytest.raises(OSError):
        worker.gate.left.result()
