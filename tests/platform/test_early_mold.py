"""A mold that waits for its arbiter: what it is sent, and what becomes of it."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from prefork.platform.base import SpawnOrder

if sys.platform != "linux":
    pytest.skip("only Linux has molds", allow_module_level=True)

from prefork.platform.posix.early_mold import HIGHEST_NUMBER, EarlyMold
from prefork.platform.posix.linux import LinuxPlatform

#: Takes the number that the arbiter's file has, too, and tells what is there in the end.
WAITS = """
import os, socket, sys
from prefork.platform.posix.early_mold import adopted
number = int(sys.argv[2])
os.dup2(os.open(os.devnull, os.O_RDONLY), number)
received = adopted(socket.socket(fileno=int(sys.argv[1])))
if received is None:
    print("not adopted")
else:
    words, numbers = received
    channel = socket.socket(fileno=int(words[-1]))
    print(words[0], os.read(number, 100).decode(), os.get_inheritable(number))
    print(channel.recv(100).decode(), {number, channel.fileno()} == numbers)
"""


@pytest.fixture
def waiting():
    """
    A process that waits, with our end of its channel; it knows the number 40.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    argv = [sys.executable, "-c", WAITS, str(theirs.fileno()), "40"]
    with (
        ours,
        subprocess.Popen(
            argv, pass_fds=[theirs.fileno()], stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        theirs.close()
        yield EarlyMold(process.pid, ours), process
        process.kill()


@pytest.fixture
def file(tmp_path):
    """
    An open file under the number 40.
    """
    path: Path = tmp_path / "file"
    path.write_text("content")
    fd = os.open(path, os.O_RDONLY)
    os.dup2(fd, 40)
    os.close(fd)
    yield 40
    os.close(40)


def test_descriptors_come_under_the_numbers_that_they_have_in_the_arbiter(waiting, file):
    """
    Whatever stood there, and not inheritable; the channel is moved out of the way and works.
    """
    mold, process = waiting

    assert mold.adopt(["--plan"], [file])

    mold.channel.send(b"an order")
    assert ["--plan content False", "an order True"] == process.communicate()[0].splitlines()


def test_a_mold_that_is_not_wanted_sees_the_end_of_its_channel(waiting):
    """
    It then ends by itself.
    """
    mold, process = waiting

    mold.channel.close()

    assert "not adopted\n" == process.communicate()[0]
    assert 0 == process.returncode


@pytest.mark.parametrize("numbers", [[HIGHEST_NUMBER + 1], list(range(65))])
def test_what_does_not_fit_is_not_sent(waiting, numbers):
    """
    Too many descriptors for a message, or a number above the limit of open files.
    """
    mold, _ = waiting

    assert not mold.adopt([], numbers)


def test_a_mold_that_has_died_is_replaced_by_one_that_is_started():
    """
    The order is carried out as if nobody had waited.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    with contextlib.closing(LinuxPlatform()) as platform:
        platform.early = EarlyMold(0, ours)

        child = platform.spawn(SpawnOrder(slot=None, generation=1, module="prefork.no_such_module"))

        assert child.pid
        os.waitpid(child.pid, 0)
        child.close()
    assert platform.early is None
