"""What only Windows has: named mutexes that others share, and a limit to what one can wait for."""

from functools import partial

import pytest

from rig.clients import ask, connect, read_all
from rig.handlers import PID_ECHO
from rig.server import elapsed
from wine import windows_path

pytestmark = pytest.mark.slow


@pytest.fixture
def run_programs(start, sschild):
    """
    Starts ``prefork exec`` of somebody else's program, which takes turns at the mutex "sschild".
    """

    def run(workers, *options):
        words = ("--", windows_path(sschild), "{fd}")
        mutex = ("--accept-mutex-name", "sschild")
        return start("exec", "-w", str(workers), *mutex, *options, *words)

    return run


def test_a_hundred_children_are_watched(run_programs):
    """
    More than one wait of Windows takes; each death is noticed at once, and each is replaced.
    """
    server = run_programs(100, "--ready-after", "0.1").ready(100)
    assert b"hello\0" == ask(server.address, b"hello")
    before = server.workers()

    for slot in (0, 63, 64, 99):
        server.kill(before[slot])
        took = elapsed(partial(server.wait_for, "worker exited", slot=slot))
        print(f"noticed after {took * 1000:.0f} ms")
        assert took < 1
    server.ready(100)

    assert b"hello\0" == ask(server.address, b"hello")
    assert 4 == len(set(before.values()) - server.pids())


@pytest.mark.essential
def test_workers_of_ours_take_turns_with_programs_of_the_original_kind(serve, run_programs):
    """
    A mutex of that name that exists already is joined.

    Whoever has it waits for a connection of its own; so both must be asked in turn.
    """
    programs = run_programs(1).ready(1)
    ours = serve("-w", "2", "--accept-mutex-name", "sschild", source=PID_ECHO).ready(2)

    for _ in range(5):
        with connect(ours.address) as client:
            assert b"hello\0" == ask(programs.address, b"hello")
            client.shutdown(1)
            assert int(read_all(client)) in ours.pids()
