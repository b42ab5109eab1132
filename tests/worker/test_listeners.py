"""Listeners as workers hold them."""

import socket

import pytest

from prefork.sockets.quiesce import _HOP_LIMITS
from prefork.worker.accept.listeners import ScreenedListener

HIGHEST = 255


@pytest.mark.parametrize(
    ("family", "host", "ttl"),
    [
        (socket.AF_INET, "127.0.0.1", (socket.IPPROTO_IP, socket.IP_TTL)),
        (socket.AF_INET6, "::1", (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)),
    ],
)
@pytest.mark.parametrize("stopping", [False, True])
def test_a_connection_is_opened_only_at_a_stop(family, host, ttl, stopping):
    """
    Until then a connection costs no system call; it has inherited nothing that could harm it.
    """
    option = _HOP_LIMITS[family]
    with ScreenedListener(family) as listener, socket.socket(family) as client:
        listener.is_stopping = lambda: stopping
        listener.bind((host, 0))
        listener.listen()
        listener.setsockopt(option[0], option[1], HIGHEST)
        client.setsockopt(ttl[0], ttl[1], HIGHEST)  # so this one comes through
        client.connect(listener.getsockname())
        connection, _ = listener.accept()

        with connection:
            assert (0 if stopping else HIGHEST) == connection.getsockopt(*option)
