"""Servers on systems that refuse socket filters to who has no privileges."""

import shutil

import pytest

from e2e.loops import SOURCES
from rig.clients import Load, connect
from rig.datagrams import connect_datagram
from rig.waiting import until

pytestmark = pytest.mark.slow

#: Runs a command as the same user, without anything that only root may do.
POWERLESS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]

needs_setpriv = pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is missing")


@needs_setpriv
@pytest.mark.parametrize("bind", ["tcp://127.0.0.1:0", "tcp://[::1]:0"])
@pytest.mark.parametrize(
    ("source", "options"),
    [
        (None, ["--accept", "blocking"]),
        (None, ["--accept", "exclusive", "--start", "spawn"]),
        (SOURCES["asyncio"], ["--loop", "asyncio"]),
        (SOURCES["protocol"], ["--loop", "uvloop"]),
    ],
)
def test_a_stop_under_load_loses_nothing(serve, source, options, bind):
    """
    Whoever was established before the door was shut is answered.
    """
    given = {} if source is None else {"source": source}
    server = serve("-w", "3", "--bind", bind, *options, prefix=POWERLESS, **given).ready(3)

    with Load(server.address, message=b"m") as load:
        load.more(100)
        assert 0 == server.stop()

    assert [] == load.failures


@needs_setpriv
@pytest.mark.parametrize("bind", ["udp://127.0.0.1:0", "udp://0.0.0.0:0", "udp://[::1]:0"])
def test_datagrams_that_have_come_in_are_answered_at_a_stop(serve, bind):
    """
    The queue of a slow server is served to its end, and nobody waits for more.
    """
    source = """
    import select

    def handle(data, address, reply):
        select.select([], [], [], 0.02)
        reply(data)
    """
    server = serve("-w", "1", "--bind", bind, prefix=POWERLESS, source=source).ready(1)
    address = server.address.replace("0.0.0.0", "127.0.0.1")

    with connect_datagram(address) as client:
        for number in range(30):
            client.send(b"%d" % number)
        until(lambda: server.status()["totals"]["handled"] > 2, what="some answers")
        assert 0 == server.stop()
        answers = {client.recv(100) for _ in range(30)}

    assert {b"%d" % number for number in range(30)} == answers


def test_connections_after_a_stop_are_refused(serve):
    """
    The port answers nobody any more, with privileges or without.
    """
    for prefix in ([], POWERLESS) if shutil.which("setpriv") else ([],):
        server = serve("-w", "1", prefix=prefix).ready(1)
        address = server.address

        assert 0 == server.stop()

        with pytest.raises(ConnectionRefusedError):
            connect(address)
