"""Serves the standard library's ``socketserver`` request handlers."""

import socket
import socketserver
from contextlib import suppress

from prefork.worker.stream import StreamHandler


class SharedServer(socketserver.BaseServer):
    """What a request handler sees as its ``server``: an address and its class, no loop."""

    def __init__(self, listener: socket.socket, handler: type[socketserver.BaseRequestHandler]):
        super().__init__(listener.getsockname(), handler)
        self.socket = listener


def stream_handler(
    handler: type[socketserver.BaseRequestHandler], listener: socket.socket
) -> StreamHandler:
    """Return ``handler`` as a function of a connection and its address."""
    server = SharedServer(listener, handler)

    def handle(connection: socket.socket, address: object) -> None:
        handler(connection, address, server)
        # As socketserver does: tell the client that no more follows, whatever else holds the
        # connection open.
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)

    return handle
