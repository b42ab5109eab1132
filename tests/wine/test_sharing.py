"""Listeners whose inherited handles are no sockets, as some providers of sockets have it."""

import pytest

from rig.clients import ask
from wine import windows_path

pytestmark = pytest.mark.slow

#: In every process of the server: what was inherited is not taken for a listener.
REFUSING = """
import prefork.platform.windows.sockets as winsockets
from prefork.worker.accept.listeners import InheritedListener

adopted = winsockets.adopted

def refuse(handle, cls=None):
    if cls is InheritedListener:
        raise OSError(10038, "not a socket")
    return adopted(handle)

winsockets.adopted = refuse
"""

HANDLER = """
import prefork.platform.windows.sockets as winsockets

def handle(connection, address):
    connection.sendall(winsockets.adopted.__name__.encode())
"""


def test_workers_get_them_by_the_other_way(serve, write, host):
    """
    WSADuplicateSocket: the arbiter sends them by the channel.
    """
    place = write(REFUSING, "patch/usercustomize.py").parent
    path = host.environment(place)["PYTHONPATH"]
    server = serve(
        *("-w", "3", "--bind", "tcp://127.0.0.1:0", "--bind", "tcp://127.0.0.1:0"),
        source=HANDLER,
        env={"PYTHONPATH": f"{windows_path(place)};{path}"},
    ).ready(3)

    assert [b"refuse"] * 2 == [ask(address) for address in server.addresses]
