"""What programs get of the system: a socket whose letters tell their sender, and pipes."""

import os
import select
import socket

import pytest

from prefork.platform.posix.programs import MOST_BYTES, NotifySocket, output_pipe


@pytest.fixture
def notify():
    made = NotifySocket()
    yield made
    made.close()


def send(notify, data, fds=()):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(notify.address.replace("@", "\0", 1))
        socket.send_fds(sender, [data], fds)


def test_a_letter_tells_who_has_sent_it(notify):
    """
    The kernel says so, not the sender; letters come in order, and one by one.
    """
    send(notify, b"first")
    send(notify, b"second")

    letters = [notify.receive() for _ in range(3)]
    assert [b"first", b"second"] == [letter.text for letter in letters[:2]]
    assert {os.getuid()} == {letter.sender for letter in letters[:2]}
    assert letters[0].whole
    assert letters[2] is None


def test_descriptors_that_come_along_are_closed(notify):
    """
    So nobody can use up ours, and who waits for their end goes on.
    """
    reader, writer = os.pipe()
    before = len(os.listdir("/proc/self/fd"))
    send(notify, b"BARRIER=1", [writer] * 250)
    os.close(writer)

    assert b"BARRIER=1" == notify.receive().text
    assert select.select([reader], [], [], 5)[0]
    assert b"" == os.read(reader, 1)
    assert before - 1 == len(os.listdir("/proc/self/fd"))
    os.close(reader)


def test_a_letter_that_is_too_long_says_so(notify):
    """
    It is cut by the kernel; the longest that fits is whole.
    """
    send(notify, b"x" * MOST_BYTES)
    send(notify, b"x" * (MOST_BYTES + 1))

    assert [True, False] == [notify.receive().whole, notify.receive().whole]


def test_each_socket_has_a_name_of_its_own(notify):
    """
    It cannot be guessed, and it is gone with the socket.
    """
    other = NotifySocket()
    address = other.address
    other.close()

    assert notify.address != address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, pytest.raises(OSError):
        sender.connect(address.replace("@", "\0", 1))


def test_only_our_end_of_a_pipe_does_not_block():
    """
    A program that finds its output non-blocking would lose what does not fit.
    """
    pipe, writer = output_pipe(os.getuid(), 4)

    assert (False, True) == (os.get_blocking(pipe.fileno()), os.get_blocking(writer))
    assert not os.get_inheritable(pipe.fileno())
    assert not os.get_inheritable(writer)
    os.write(writer, b"hello")
    assert [b"hell", b"o"] == [pipe.read(), pipe.read()]
    with pytest.raises(BlockingIOError):
        pipe.read()
    os.close(writer)
    assert b"" == pipe.read()
    pipe.close()
