"""The backend in one process: what it leaves behind, what it says."""

import os
import select
import socket
import threading

import pytest
from test_win32 import open_handles, opened

from prefork.core.states import ExitStatus
from prefork.platform.socket_pair import socket_pair
from prefork.platform.windows.api import Waits
from prefork.platform.windows.files import content_of, handle_of, memory_file
from prefork.platform.windows.processes import KILLED, WindowsBackend
from prefork.platform.windows.sockets import adopted


@pytest.fixture
def plan():
    """
    The handle of a file.
    """
    fd = memory_file("plan")
    yield handle_of(fd)
    os.close(fd)


def backend_of(script, shared=()):
    """Return a backend whose workers run ``script``."""
    return WindowsBackend(shared, ("-c", script))


def notices(backend, count=1):
    found: list = []
    while len(found) < count:
        assert select.select([backend.wakeup], [], [], 15)[0]
        assert {"SIGCHLD"} == set(backend.signals())
        found += backend.reap(lambda: None)
    return found


def test_a_child_that_ends_wakes_the_loop(plan):
    """
    Its notice comes once, with its exit code.
    """
    backend = backend_of("import sys; sys.exit(7)")
    child = backend.spawn(3, 1, plan, [])

    [notice] = notices(backend)

    assert (child, ExitStatus(code=7)) == (notice.child, notice.ended)
    assert [] == list(backend.reap(lambda: None))
    backend.kill(child)  # nobody is hit
    backend.say(child, b"D")
    child.close()
    backend.close()


def test_a_child_that_we_kill_is_told_from_one_that_ends_with_the_same_code(plan):
    """
    Codes say nothing of causes on Windows, so it is remembered who was to die.
    """
    forever = "import threading; threading.Event().wait()"
    script = f"import sys; sys.exit({KILLED}) if sys.argv[2] == '1' else exec({forever!r})"
    backend = backend_of(script)
    first, second = backend.spawn(1, 1, plan, []), backend.spawn(2, 1, plan, [])
    [by_itself] = notices(backend)
    backend.kill(second)
    [by_us] = notices(backend)

    assert (first, ExitStatus(code=KILLED)) == (by_itself.child, by_itself.ended)
    assert (second, ExitStatus(signal="SIGKILL")) == (by_us.child, by_us.ended)
    for child in (first, second):
        child.close()
    backend.close()


def test_a_worker_that_cannot_be_started_leaves_nothing(plan):
    """
    Neither sockets nor files, nor handles.
    """
    backend = backend_of("pass")
    before = None
    for number in range(30):
        with pytest.raises(OSError):
            backend.spawn(0, 1, plan, [0x7FFFFFF0])
        before = open_handles() if number == 2 else before

    assert open_handles() <= before + 5
    backend.close()


def test_a_closed_backend_ends_its_children(plan):
    """
    With the last handle of the job.
    """
    backend = backend_of("import threading; threading.Event().wait()")
    child = backend.spawn(0, 1, plan, [])
    with opened(child.pid) as process:
        waits = Waits([process.value])
        assert waits.wait(0.1) is None
        backend.close()

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


def test_words_of_the_console_come_once_and_in_order():
    """
    However often they were said before the loop looked.
    """
    backend = backend_of("pass")
    for event in (0, 1, 0, 0):
        thread = threading.Thread(target=backend._note_console, args=(event,))
        thread.start()
        thread.join()
    assert select.select([backend.wakeup], [], [], 5)[0]

    assert ["SIGINT", "SIGTERM"] == list(backend.signals())
    assert [] == list(backend.signals())
    backend.close()


def test_the_system_waits_for_us_at_its_own_end():
    """
    When the console is closed, its thread stays until we have finished.
    """
    backend = backend_of("pass")
    thread = threading.Thread(target=backend._note_console, args=(2,))
    thread.start()
    assert select.select([backend.wakeup], [], [], 5)[0]
    assert ["SIGTERM"] == list(backend.signals())
    thread.join(0.1)
    assert thread.is_alive()
    backend.close()
    thread.join(5)

    assert not thread.is_alive()
