"""The backend in one process: what it leaves behind, what it says."""

import os
import select
import socket
import sys
import threading

import pytest
from test_win32 import open_handles, opened

from prefork.core.states import ExitStatus
from prefork.platform.base import ProgramOrder, SpawnOrder
from prefork.platform.socket_pair import socket_pair
from prefork.platform.windows.api import Waits
from prefork.platform.windows.files import content_of, memory_file
from prefork.platform.windows.processes import KILLED, WindowsPlatform
from prefork.platform.windows.sockets import adopted

FOREVER = "import threading; threading.Event().wait()"


@pytest.fixture
def platform():
    """
    The real one.
    """
    made = WindowsPlatform()
    yield made
    made.close()


def run(platform, script, slot=0):
    """Return a child that runs ``script``."""
    argv = [sys.executable, "-c", script]
    order = ProgramOrder(slot=slot, generation=1, argv=argv, environ=os.environ, outputs=(1, 2))
    return platform.start_program(order)


def notices(platform, count=1):
    found: list = []
    while len(found) < count:
        assert select.select([platform.wakeup], [], [], 15)[0]
        assert {"SIGCHLD"} == set(platform.signals())
        found += platform.reap(lambda: None)
    return found


def test_a_child_that_ends_wakes_the_loop(platform):
    """
    Its notice comes once, with its exit code.
    """
    child = run(platform, "import sys; sys.exit(7)")

    [notice] = notices(platform)

    assert (child, ExitStatus(code=7)) == (notice.child, notice.ended)
    assert [] == list(platform.reap(lambda: None))
    platform.kill(child)  # nobody is hit
    platform.send(child, b"D")
    child.close()


def test_a_child_that_we_kill_is_told_from_one_that_ends_with_the_same_code(platform):
    """
    Codes say nothing of causes on Windows, so it is remembered who was to die.
    """
    first = run(platform, f"import sys; sys.exit({KILLED})", 1)
    second = run(platform, FOREVER, 2)
    [by_itself] = notices(platform)
    platform.kill(second)
    [by_us] = notices(platform)

    assert (first, ExitStatus(code=KILLED)) == (by_itself.child, by_itself.ended)
    assert (second, ExitStatus(signal="SIGKILL")) == (by_us.child, by_us.ended)
    for child in (first, second):
        child.close()


def test_a_worker_that_cannot_be_started_leaves_nothing(platform):
    """
    Neither sockets nor files, nor handles.
    """
    order = SpawnOrder(slot=0, generation=1, module="this", inherited=[0x7FFFFFF0])
    before = None
    for number in range(30):
        with pytest.raises(OSError):
            platform.spawn(order)
        before = open_handles() if number == 2 else before

    assert open_handles() <= before + 5


def test_a_closed_platform_ends_its_children(tmp_path, monkeypatch):
    """
    With the last handle of the job.
    """
    platform = WindowsPlatform()
    (tmp_path / "forever.py").write_text(FOREVER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    child = platform.spawn(SpawnOrder(slot=0, generation=1, module="forever"))
    with opened(child.pid) as process:
        waits = Waits([process.value])
        assert waits.wait(0.1) is None
        platform.close()

        assert 0 == waits.wait(5)
    child.close()


def test_a_pair_is_connected_both_ways():
    """
    Without delay, and blocking at first.
    """
    ours, theirs = socket_pair()
    with ours, theirs:
        ours.sendall(b"down")
        theirs.sendall(b"up")

        assert (b"down", b"up") == (theirs.recv(9), ours.recv(9))
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_shared_file_is_read_without_moving_its_writer():
    """
    The position is one for all who share it.
    """
    fd = memory_file("x", append=True)
    os.write(fd, b"one")
    assert b"one" == content_of(fd)
    os.write(fd, b"two")
    assert b"onetwo" == content_of(fd)
    os.ftruncate(fd, 0)
    os.write(fd, b"three")

    assert b"three" == content_of(fd)
    os.close(fd)


def test_an_adopted_socket_is_the_one_behind_the_handle():
    """
    Whether this process has made it or not.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()

    with adopted(listener.detach()) as same:
        assert address == same.getsockname()
        assert (socket.AF_INET, socket.SOCK_STREAM) == (same.family, same.type)


def test_words_of_the_console_come_once_and_in_order(platform):
    """
    However often they were said before the loop looked.
    """
    for event in (0, 1, 0, 0):
        thread = threading.Thread(target=platform._note_console, args=(event,))
        thread.start()
        thread.join()
    assert select.select([platform.wakeup], [], [], 5)[0]

    assert ["SIGINT", "SIGTERM"] == list(platform.signals())
    assert [] == list(platform.signals())


def test_the_system_waits_for_us_at_its_own_end():
    """
    When the console is closed, its thread stays until we have finished.
    """
    platform = WindowsPlatform()
    thread = threading.Thread(target=platform._note_console, args=(2,))
    thread.start()
    assert select.select([platform.wakeup], [], [], 5)[0]
    assert ["SIGTERM"] == list(platform.signals())
    thread.join(0.1)
    assert thread.is_alive()
    platform.close()
    thread.join(5)

    assert not thread.is_alive()
