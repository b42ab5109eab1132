"""Taking datagrams from a shared socket, and answering them."""

import select
import socket
import socketserver
import threading

import pytest

from prefork.kinds.datagram import datagram_handler
from prefork.kinds.socketserver import request_handler
from prefork.platform.windows.api import Event
from prefork.platform.windows.sockets import announce_clients, announce_nothing
from prefork.worker.accept.windows_datagrams import DatagramListener


@pytest.fixture(params=[("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def listener(request):
    """
    A worker's socket for datagrams, as the gate leaves it: it does not block.
    """
    host, family = request.param
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    with DatagramListener(fileno=sock.detach()) as listener, Event.create(resets=True) as event:
        announce_clients(listener, event.value)
        yield listener
        announce_nothing(listener)


@pytest.fixture
def client(listener):
    """
    A client that takes answers only from where it has asked.
    """
    with socket.socket(listener.family, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.connect(listener.getsockname())
        yield client


def taken(listener):
    """Return the next datagram, and the address it is from."""
    assert [listener] == select.select([listener], [], [], 10)[0]
    return listener.accept()


def test_without_a_datagram_there_is_nothing_to_take(listener):
    """
    Whoever takes has been told that one is there, and perhaps a sibling was faster.
    """
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_a_datagram_is_taken_whole_and_answered(listener, client):
    """
    Also an empty one, and the longest there is; a closed one sends no answer.
    """
    for sent in (b"x", b"", bytes(65507)):
        client.send(sent)
        datagram, address = taken(listener)

        assert (sent, client.getsockname()) == (datagram.data, address)
        datagram.reply(sent)
        datagram.reply(b"two")
        assert [sent, b"two"] == [client.recv(70000), client.recv(70000)]
    datagram.close()
    with pytest.raises(RuntimeError, match="after the handler"):
        datagram.reply(b"three")


def test_an_answer_that_is_too_long_is_an_error(listener, client):
    """
    The system does not take it, and the handler hears so.
    """
    client.send(b"x")
    datagram, _ = taken(listener)

    with pytest.raises(OSError, match="10040"):
        datagram.reply(bytes(70000))


def test_a_client_that_is_gone_keeps_nobody_from_taking(listener, client):
    """
    What the system says of an answer that nobody took is not the next one's business.
    """
    with socket.socket(listener.family, socket.SOCK_DGRAM) as other:
        other.connect(listener.getsockname())
        other.send(b"bye")
        gone, _ = taken(listener)
    gone.reply(b"one")
    gone.reply(b"two")
    client.send(b"hello")

    datagram, _ = taken(listener)
    datagram.reply(b"still here")

    assert (b"hello", b"still here") == (datagram.data, client.recv(99))


def test_many_answers_wait_for_room(listener, client):
    """
    More than the buffers hold are sent by several threads of a socket that does not block.
    """
    client.send(b"x")
    datagram, _ = taken(listener)

    def flood():
        for _ in range(200):
            datagram.reply(bytes(60000))

    threads = [threading.Thread(target=flood, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert [False] * 3 == [thread.is_alive() for thread in threads]
    assert 60000 == len(client.recv(70000))


def test_both_kinds_of_handlers_answer(listener, client):
    """
    A function with reply, and a request handler of socketserver's.
    """

    class Shout(socketserver.DatagramRequestHandler):
        def handle(self):
            self.wfile.write(self.rfile.read().upper())

    class Whisper(socketserver.BaseRequestHandler):
        def handle(self):
            data, sock = self.request
            sock.sendto(data.lower(), self.client_address)
            assert sock.getsockname() == self.server.server_address

    functions = [
        datagram_handler(lambda data, address, reply: reply(data[::-1])),
        request_handler(Shout, listener),
        request_handler(Whisper, listener),
    ]
    answers = []
    for function in functions:
        client.send(b"aBc")
        function(*taken(listener))
        answers.append(client.recv(99))

    assert [b"cBa", b"ABC", b"abc"] == answers
