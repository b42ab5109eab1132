"""Windows workers on one socket, asked by clients on this side of Wine."""

import os
import signal
import socket
from collections import Counter
from time import monotonic

import pytest

from rig.clients import Held, Load, ask, connect, in_background, read_all, read_line
from rig.waiting import pause, until
from wine import windows_path

pytestmark = pytest.mark.slow


def address_of(program, listener=0):
    return f"tcp://127.0.0.1:{program.wait_for('listening')['ports'][listener]}"


def test_five_held_connections_are_on_five_workers(arbiter):
    """
    All listen on one socket, and a busy one takes none.
    """
    pool = arbiter(workers=5)
    pool.wait_for("ready", count=5)
    pids = {event["pid"] for event in pool.all("started")}

    with Held(address_of(pool)) as held:
        assert pids == set(held.add(5))


def test_connections_are_spread_evenly(arbiter):
    """
    The accept mutex goes round.
    """
    pool = arbiter(workers=5)
    pool.wait_for("ready", count=5)

    answers = Counter(int(ask(address_of(pool)).strip()) for _ in range(200))

    assert 5 == len(answers)
    assert (30, 50) == (min(30, *answers.values()), max(50, *answers.values()))


def test_64_mebibytes_come_back_identical(arbiter):
    """
    Through a socket that AcceptEx has made.
    """
    pool = arbiter(workers=1)
    pool.wait_for("ready")
    message = os.urandom(1 << 20) * 64
    with connect(address_of(pool)) as client:
        read_line(client)

        def send():
            client.sendall(message)
            client.shutdown(socket.SHUT_WR)

        with in_background(send):
            answer = read_all(client)

    assert message == answer


def test_the_mutex_of_a_killed_owner_goes_on(arbiter):
    """
    Each time the one that waits for a connection is killed; the next one answers.
    """
    pool = arbiter(workers=5, tell=True)
    pool.wait_for("ready", count=5)
    slots = {event["pid"]: event["slot"] for event in pool.all("started")}

    for number in range(1, 5):
        owner = pool.wait_for("turn", count=2 * number - 1)["pid"]
        [process] = pool.family("--slot", str(slots[owner]))
        os.kill(process, signal.SIGKILL)
        killed = monotonic()
        answer = int(ask(address_of(pool)).strip())
        after = monotonic() - killed

        print(f"answered {after * 1000:.1f} ms after the kill")
        assert owner != answer
        assert after < 0.5
    pool.wait_for("exited", count=4)


def test_each_of_several_listeners_is_served(arbiter):
    """
    By one worker as by three; connections that come at once are all answered.
    """
    pool = arbiter(workers=1, listeners=3)
    pool.wait_for("ready")

    for _ in range(5):
        clients = [connect(address_of(pool, number)) for number in range(3)]
        for client in clients:
            with client:
                client.sendall(b"hello")
                client.shutdown(socket.SHUT_WR)
                assert read_all(client).endswith(b"\nhello")


def test_replacing_workers_under_load_loses_no_connection(arbiter):
    """
    Drained workers finish what they have taken, also what came together with the order.
    """
    pool = arbiter(workers=5)
    pool.wait_for("ready", count=5)

    with Load(address_of(pool)) as load:
        for first in (0, 5, 10):
            for slot in range(first, first + 5):
                pool.say(f"spawn {slot + 5}")
            pool.wait_for("ready", limit=30, count=first + 10)
            for slot in range(first, first + 5):
                pool.say(f"drain {slot}")
            pool.wait_for("exited", count=first + 5)
            load.more(50)

    assert ([], 0) == (load.failures, load.refused)
    assert {"exit 0"} == {event["status"] for event in pool.all("exited")}


def test_a_final_stop_ends_all_within_a_moment(arbiter):
    """
    Ctrl-C reaches the arbiter alone, which asks its workers to leave.
    """
    pool = arbiter(workers=5)
    pool.wait_for("ready", count=5)

    os.kill(pool.pid, signal.SIGINT)

    assert 0 == pool.wait()
    assert "SIGINT" == pool.all("signal")[0]["word"]
    assert ["exit 0"] * 5 == [event["status"] for event in pool.all("exited")]


@pytest.mark.parametrize("how", ["killed", "gone"])
def test_nothing_outlives_its_arbiter(arbiter, how):
    """
    However it ends, its workers are gone within a second, busy or not, and the port is free.
    """
    pool = arbiter(workers=5)
    pool.wait_for("ready", count=5)
    port = pool.wait_for("listening")["ports"][0]
    assert 6 == len(pool.family())

    with Held(address_of(pool)) as held:
        held.add(2)
        if how == "killed":
            os.kill(pool.pid, signal.SIGKILL)
        else:
            pool.say("abandon")
        until(lambda: not pool.family(), limit=1.0, what="the end of all")

        with socket.socket() as successor:
            successor.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            successor.bind(("127.0.0.1", port))
            successor.listen()


def test_a_child_inherits_what_is_meant_for_it_and_nothing_else(arbiter):
    """
    Of many inheritable handles, those that it is given are open there.
    """
    pool = arbiter(workers=2, decoys=4000)

    for number in (1, 2):
        event = pool.wait_for("probed", count=number)
        assert [True, False, False, False] == event["handles"]


def test_a_hundred_children_are_watched(arbiter, sschild):
    """
    More than one wait of Windows takes; each death is noticed at once.
    """
    words = [windows_path(sschild), "{fd}"]
    pool = arbiter(workers=100, mutex="sschild", program=words)
    pool.wait_for("started", limit=60, count=100)
    assert b"hello\0" == ask(address_of(pool), b"hello")

    for slot in (0, 63, 64, 99):
        pool.say(f"kill {slot}")
        event = pool.wait_for("exited", slot=slot)
        print(f"noticed after {event['after'] * 1000:.1f} ms")
        assert ("SIGKILL", True) == (event["status"], event["after"] < 0.5)
    assert b"hello\0" == ask(address_of(pool), b"hello")


def test_a_program_of_the_original_kind_is_served_with(arbiter, sschild):
    """
    It opens the mutex by its name, accepts under it, and goes on when its owner is killed.
    """
    pool = arbiter(workers=5, mutex="sschild", program=[windows_path(sschild), "{fd}"])
    pool.wait_for("started", count=5)

    for slot in range(4):
        assert [b"hello\0"] * 20 == [ask(address_of(pool), b"hello") for _ in range(20)]
        pool.say(f"kill {slot}")
        pool.wait_for("exited", slot=slot, status="SIGKILL")
    pool.say("spawn 0")
    assert [b"hello\0"] * 20 == [ask(address_of(pool), b"hello") for _ in range(20)]


def test_workers_of_ours_take_turns_with_programs_of_the_original_kind(arbiter, sschild, wine):
    """
    A mutex of that name that exists already is joined.
    """
    programs = arbiter(workers=1, mutex="sschild", program=[windows_path(sschild), "{fd}"])
    ours = arbiter(workers=2, mutex="sschild", tell=True)
    ours.wait_for("ready", count=2)

    assert ours.wait_for("listening")["existed"]
    assert not programs.wait_for("listening")["existed"]
    # Whoever has the mutex waits for a connection of its own; so both must be asked in turn.
    client = connect(address_of(ours))
    with client:
        assert b"hello\0" == ask(address_of(programs), b"hello")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client).strip().isdigit()


def test_stacks_are_told_by_a_worker_that_holds_the_interpreters_lock(arbiter):
    """
    Again and again, and no harm is done to one that is well.
    """
    pool = arbiter(workers=1, stacks=True)
    pool.wait_for("ready")

    for _ in range(2):
        pool.say("ask 0")
        dump_with(pool, "in accept")
    with connect(address_of(pool)) as client:
        read_line(client)
        client.sendall(b"hang\n")
        pause(0.2)  # there is nobody who could tell that it hangs now
        pool.say("ask 0")
        dump_with(pool, "in serve")
        pool.say("kill 0")
        pool.wait_for("exited", slot=0, status="SIGKILL")


def dump_with(pool, words):
    """Wait until the dump of slot 0 has ``words``."""

    def look():
        before = len(pool.all("stacks"))
        pool.say("show 0")
        return words in pool.wait_for("stacks", count=before + 1)["text"]

    until(look, what=f"a dump with {words!r}")


def test_a_fault_is_told_as_on_other_systems(arbiter):
    """
    An access violation is SIGSEGV in the log.
    """
    pool = arbiter(workers=1)
    pool.wait_for("ready")

    with connect(address_of(pool)) as client:
        client.sendall(b"fault\n")
        pool.wait_for("exited", slot=0, status="SIGSEGV")
