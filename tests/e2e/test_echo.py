"""``prefork echo``: the first thing that anybody runs."""

import os
import socket

import pytest

from rig.clients import connect, in_background, read_all
from rig.processes import title_of
from rig.waiting import stays, until

pytestmark = [pytest.mark.slow, pytest.mark.windows, pytest.mark.versions]

SIZE = 64 << 20
CHUNK = 1 << 20


@pytest.mark.essential
def test_five_processes_serve_one_socket(start, host):
    """
    Five workers by default, children of the arbiter, each ready under a pid of its own.
    """
    server = start("echo").ready(5)

    pids = server.pids()

    assert 5 == len(pids)
    # The process that forked it twice may live a moment longer than a worker needs to be ready.
    until(lambda: {server.pid} == set(map(host.parent_of, pids)), what="children of the arbiter")


def test_its_defaults_are_those_of_the_contract(start):
    """
    Without options it is called echo, and has five workers.
    """
    server = start("echo", "--name", "echo").ready(5)

    status = server.status()
    assert "echo" == status["name"]
    assert (5, 5) == (status["pool"]["minimum"], status["pool"]["maximum"])


@pytest.mark.posix
def test_process_titles_name_role_and_server(start):
    """
    To whoever looks at them with ``ps``.
    """
    server = start("echo", "--name", "echo").ready(5)

    assert "prefork: arbiter of echo" == title_of(server.pid)
    assert "prefork: worker 0 of echo (generation 1)" == title_of(server.workers()[0])


@pytest.mark.essential
def test_each_client_is_logged(start):
    """
    ``connected``, ``received`` and ``closed`` come with the worker's pid and the client's port.
    """
    server = start("echo").ready(5)
    with server.connect() as client:
        client.sendall(b"hello")
        assert b"hello" == client.recv(100)
        host, port = client.getsockname()

    server.wait_for("closed")
    peer = f"{host}:{port}"
    for event in ("connected", "received", "closed"):
        [entry] = server.all(event)
        assert peer == entry["peer"]
        assert entry["pid"] in server.pids()
    assert 5 == server.all("received")[0]["bytes"]


@pytest.mark.essential
def test_five_held_connections_are_on_five_processes_and_the_sixth_waits(start):
    """
    A busy worker accepts nothing; whoever waits is served as soon as one is free.
    """
    server = start("echo").ready(5)
    clients = [server.connect() for _ in range(6)]
    try:
        for client in clients:
            client.sendall(b"x")
        for client in clients[:5]:
            assert b"x" == client.recv(1)
        server.wait_for("connected", count=5)
        connected = [event["pid"] for event in server.all("connected")]
        assert server.pids() == set(connected)
        clients[5].setblocking(False)
        assert stays(lambda: _nothing_from(clients[5]), 0.3)
        assert 1 == server.queued()

        clients[2].close()

        clients[5].settimeout(5)
        assert b"x" == clients[5].recv(1)
    finally:
        for client in clients:
            client.close()


def test_64_mib_come_back_as_they_were_sent(start):
    """
    No byte is lost, doubled or moved, however the chunks fall.
    """
    server = start("echo", "--log-level", "warning").ready(5)
    data = os.urandom(SIZE)

    with connect(server.address) as client:

        def send():
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)

        with in_background(send):
            answer = read_all(client)

    assert data == answer


def _nothing_from(client):
    try:
        client.recv(1)
    except BlockingIOError:
        return True
    return False
