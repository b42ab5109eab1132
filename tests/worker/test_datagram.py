"""Taking a datagram, and where its answer comes from."""

import os
import socket
import struct

import pytest

from prefork.sockets.listeners import open_listeners
from prefork.sockets.posix import IP_PKTINFO
from prefork.worker.accept.datagrams import ReceivedDatagram
from prefork.worker.accept.posix_datagrams import DatagramListener


@pytest.fixture
def listener(bind):
    """
    A worker's side of a socket for datagrams, which does not wait.
    """
    [opened] = open_listeners([bind], 1)
    taken = DatagramListener(os.dup(opened.socket.fileno()), wait=False)
    yield taken
    taken.close()
    opened.close()


def sent(listener, host):
    """Send a datagram to ``host``; return what was taken, and the client."""
    client = socket.socket(listener.family, socket.SOCK_DGRAM)
    client.settimeout(5)
    client.connect((host, listener.getsockname()[1]))
    client.send(b"x")
    return listener.accept()[0], client


@pytest.mark.parametrize(
    ("bind", "host"),
    [
        ("udp://127.0.0.1:0", "127.0.0.1"),
        ("udp://0.0.0.0:0", "127.0.0.9"),
        ("udp://[::]:0", "::1"),
    ],
)
def test_an_answer_is_heard_by_who_has_asked(listener, bind, host):
    """
    A connected client takes it only from the address it has sent to; a closed datagram sends none.
    """
    datagram, client = sent(listener, host)
    with client:
        datagram.reply(b"one")
        datagram.reply(b"two")
        datagram.close()
        with pytest.raises(RuntimeError, match="after the handler"):
            datagram.reply(b"three")

        assert [b"one", b"two"] == [client.recv(10), client.recv(10)]
        assert client.getsockname() == datagram.address


@pytest.mark.parametrize("bind", ["udp://127.0.0.1:0"])
def test_without_a_datagram_there_is_nothing_to_take(listener, bind):
    """
    Where the gate waits elsewhere, taking does not, though the socket is a blocking one.
    """
    assert listener.getblocking()
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.parametrize("bind", ["udp://127.0.0.1:0"])
def test_an_answer_can_be_sent_when_the_listener_is_deaf(listener, bind):
    """
    As after a drain: another socket stands under the number that datagrams were taken by.
    """
    datagram, client = sent(listener, "127.0.0.1")
    with client, socket.socket(socket.AF_UNIX) as dead:
        os.dup2(dead.fileno(), listener.fileno(), inheritable=False)

        with pytest.raises(OSError, match="Invalid argument"):
            listener.accept()
        datagram.reply(b"still")
        assert b"still" == client.recv(10)


ONE = socket.inet_pton(socket.AF_INET6, "2001:db8::1")
LOCAL = socket.inet_pton(socket.AF_INET6, "fe80::1")
MULTICAST = socket.inet_pton(socket.AF_INET6, "ff02::1")


@pytest.mark.parametrize(
    ("bind", "told", "source"),
    [
        # Interface, our address, the destination: a broadcast is answered from our address.
        ("udp://0.0.0.0:0", b"IFCEourshere", b"\0\0\0\0ours\0\0\0\0"),
        ("udp://[::]:0", ONE + b"IFCE", ONE + bytes(4)),
        ("udp://[::]:0", LOCAL + b"IFCE", LOCAL + b"IFCE"),
        ("udp://[::]:0", MULTICAST + b"IFCE", None),
    ],
)
def test_the_source_of_an_answer_is_the_destination_of_the_question(listener, bind, told, source):
    """
    The route tells the interface, but for a link-local address; nothing comes from a multicast one.
    """
    if listener.family == socket.AF_INET:
        level, kind = socket.IPPROTO_IP, IP_PKTINFO
    else:
        level, kind = socket.IPPROTO_IPV6, socket.IPV6_PKTINFO
    other = (socket.SOL_SOCKET, 29, struct.pack("=qq", 0, 0))  # a time, which somebody asked for

    answer = listener._source([other, (level, kind, told)])

    assert ([] if source is None else [(level, kind, source)]) == answer
    assert [] == listener._source([other])


def test_a_client_without_an_address_has_no_answer():
    """
    The error says why.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unbound:
        unbound.bind("")
        listener = DatagramListener(os.dup(unbound.fileno()), wait=False)
        try:
            with pytest.raises(OSError, match="has not bound its Unix socket"):
                ReceivedDatagram(listener, b"", None, []).reply(b"x")
        finally:
            listener.close()
