"""Serves the standard library's ``socketserver`` request handlers."""

import socket
import socketserver
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from prefork.worker.accept.datagrams import Datagram


class SharedServer(socketserver.BaseServer):
    """What a request handler sees as its ``server``: an address and its class, no loop."""

    def __init__(self, listener: socket.socket, handler: type[socketserver.BaseRequestHandler]):
        super().__init__(listener.getsockname(), handler)
        self.socket = listener


class AnsweringSocket:
    """The socket in the request of a datagram's handler: what it sends to the client is a reply.

    So it comes from the address that the client has asked.
    """

    def __init__(self, datagram: Datagram) -> None:
        self._datagram = datagram
        self._socket = datagram.sender

    def sendto(self, data: bytes, *flags_and_address: Any) -> int:
        """Send ``data`` to an address, as ``socket.sendto`` does."""
        if flags_and_address != (self._datagram.address,):
            return self._socket.sendto(data, *flags_and_address)
        self._datagram.reply(data)
        return len(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


def request_handler(
    handler: type[socketserver.BaseRequestHandler], listener: socket.socket
) -> Callable[[Any, Any], object]:
    """Return ``handler`` as a function of what a gate lets in, and its address."""
    server = SharedServer(listener, handler)

    def handle(connection: socket.socket, address: object) -> None:
        handler(connection, address, server)
        # As socketserver does: tell the client that no more follows, whatever else holds the
        # connection open.
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)

    def handle_datagram(datagram: Datagram, address: object) -> None:
        request: Any = (datagram.data, AnsweringSocket(datagram))
        handler(request, address, server)

    return handle_datagram if listener.type == socket.SOCK_DGRAM else handle
