"""The first program: sends back what it receives.  Served by ``prefork echo``."""

import os
import socket
from contextlib import suppress

from prefork.logs import log
from prefork.sockets.listeners import peer_text

_CHUNK = 256 * 1024

# Zeroing a fresh buffer costs more than a short connection, so handlers leave theirs behind.
# ``pop`` and ``append`` are atomic: the threads of a worker never share one.
_buffers: list[bytearray] = []


def handle(connection: socket.socket, address: object) -> None:
    """Send back what ``connection`` receives until its client closes it."""
    journal = log.current()
    aloud = journal.enabled("info")
    client = {"pid": os.getpid(), "peer": peer_text(address)} if aloud else {}
    if aloud:
        journal.info("connected", **client)
    buffer = _buffers.pop() if _buffers else bytearray(_CHUNK)
    try:
        with suppress(ConnectionError):  # the client went without waiting for its answer
            _echo(connection, buffer, client)
    finally:
        _buffers.append(buffer)
        if aloud:
            journal.info("closed", **client)


def _echo(connection: socket.socket, buffer: bytearray, client: dict[str, object]) -> None:
    view = memoryview(buffer)
    while count := connection.recv_into(buffer):
        if client:
            log.current().info("received", bytes=count, **client)
        connection.sendall(view[:count])
