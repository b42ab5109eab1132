"""How much waits at a listener, asked from the kernel."""

import os
import socket
import sys
from contextlib import ExitStack

import pytest

from prefork.sockets.backlog import handshakes, queue_depths, tcp_queue, udp_queue
from prefork.sockets.queue import Queue

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sock_diag is Linux's")


def listening(stack, family):
    listener = stack.enter_context(socket.socket(family))
    where = {
        socket.AF_INET: ("127.0.0.1", 0),
        socket.AF_INET6: ("::1", 0),
        socket.AF_UNIX: f"\0prefork-test-{os.getpid()}",
    }
    listener.bind(where[family])
    listener.listen(10)
    return listener


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX])
@pytest.mark.parametrize("waiting", [0, 1, 5])
def test_the_depth_is_the_number_that_wait(family, waiting):
    """
    For each family, by the socket's inode; with it the limit that listen(2) was given.
    """
    with ExitStack() as stack:
        listener = listening(stack, family)
        for _ in range(waiting):
            client = stack.enter_context(socket.socket(family))
            client.connect(listener.getsockname())

        assert Queue(waiting, 10) == queue_depths()[os.fstat(listener.fileno()).st_ino]
        if family != socket.AF_UNIX:
            assert waiting == tcp_queue(listener)


def test_an_accepted_connection_is_not_in_the_queue():
    """
    The depth falls with each accept.
    """
    with ExitStack() as stack:
        listener = listening(stack, socket.AF_INET)
        for _ in range(2):
            stack.enter_context(socket.create_connection(listener.getsockname()))

        stack.enter_context(listener.accept()[0])

        assert 1 == tcp_queue(listener)


def test_many_sockets_need_many_messages():
    """
    The kernel answers in pieces; all of them are read.
    """
    with ExitStack() as stack:
        listeners = []
        for number in range(300):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(f"\0prefork-test-{os.getpid()}-{number}")
            listener.listen()
            listeners.append(os.fstat(listener.fileno()).st_ino)

        assert set(listeners) <= queue_depths().keys()


def test_no_handshake_is_under_way_on_a_quiet_port():
    """
    And the kernel understands the question.
    """
    with ExitStack() as stack:
        listener = listening(stack, socket.AF_INET)

        assert 0 == handshakes(listener.getsockname()[1])


def sent_to(stack, family, count, message=b"x"):
    """Return a socket for datagrams at which ``count`` of them wait."""
    receiver = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
    where = {socket.AF_INET: ("127.0.0.1", 0), socket.AF_INET6: ("::1", 0), socket.AF_UNIX: ""}
    receiver.bind(where[family])
    client = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
    for _ in range(count):
        client.sendto(message, receiver.getsockname())
    return receiver


@pytest.mark.parametrize(
    ("family", "waiting", "depth"),
    [
        (socket.AF_INET, 0, 0), (socket.AF_INET, 1, 1), (socket.AF_INET, 100, 36),
        (socket.AF_INET6, 0, 0), (socket.AF_INET6, 1, 1),
        (socket.AF_UNIX, 0, 0), (socket.AF_UNIX, 5, 1),
    ],
)  # fmt: skip
def test_waiting_datagrams_are_estimated_from_outside(family, waiting, depth):
    """
    By the socket's inode, without a limit; about a third for small ones, one for Unix.
    """
    with ExitStack() as stack:
        receiver = sent_to(stack, family, waiting)

        queue = queue_depths()[os.fstat(receiver.fileno()).st_ino]

    assert queue.limit is None
    assert min(depth, 1) <= queue.depth <= waiting
    assert depth == pytest.approx(queue.depth, rel=0.5)


def test_no_udp_datagram_waits_when_all_are_received():
    """
    The estimate is exact about none, though the kernel gives memory back late.
    """
    with ExitStack() as stack:
        receiver = sent_to(stack, socket.AF_INET, 50)
        for _ in range(50):
            assert udp_queue(receiver)
            receiver.recv(10)

        assert 0 == udp_queue(receiver)
