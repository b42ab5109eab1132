"""The kind ``socketserver``: request handler classes of the standard library's module."""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from prefork.kinds.base import Datagram, Handler, Kind, Shape, Traffic, Worker
from prefork.kinds.targets.shape import derives_from

if TYPE_CHECKING:
    import socket
    import socketserver


def serve(worker: Worker, handler: Handler) -> int:
    """Make a request handler for each connection, or each datagram."""
    return worker.serve_each(request_handler(handler.target, worker.listeners[0]))


def request_handler(
    handler: "type[socketserver.BaseRequestHandler]", listener: "socket.socket"
) -> Callable[[Any, Any], object]:
    """Return ``handler`` as a function of what a worker takes, and its address."""
    # Only here: no other kind needs it.
    from socket import SHUT_WR, SOCK_DGRAM

    server = _server(handler, listener)

    def handle(connection: "socket.socket", address: object) -> None:
        handler(connection, address, server)
        # As socketserver does: show the client that no more follows, whatever else holds the
        # connection open.
        with suppress(OSError):
            connection.shutdown(SHUT_WR)

    def handle_datagram(datagram: Datagram, address: object) -> None:
        request: Any = (datagram.data, AnsweringSocket(datagram))
        handler(request, address, server)

    return handle_datagram if listener.type == SOCK_DGRAM else handle


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


def _server(
    handler: "type[socketserver.BaseRequestHandler]", listener: "socket.socket"
) -> "socketserver.BaseServer":
    """Return what a request handler sees as its ``server``: an address and its class, no loop."""
    # Only here: what only detects kinds, or names them, does without it.
    import socketserver

    class SharedServer(socketserver.BaseServer):
        socket = listener

    return SharedServer(listener.getsockname(), handler)


def _matches(shape: Shape) -> bool:
    return shape.derives_from("socketserver", "BaseRequestHandler")


def _claims(shape: Shape) -> str:
    return "a request handler" if _matches(shape) else ""


def _target_serves(target: object) -> tuple[Traffic, ...]:
    """Return what a request handler is for: either, unless its class decides."""
    if derives_from(target, "socketserver", "DatagramRequestHandler"):
        return ("datagrams",)
    if derives_from(target, "socketserver", "StreamRequestHandler"):
        return ("connections",)
    return ("connections", "datagrams")


KIND = Kind(
    name="socketserver",
    serve=serve,
    example="subclasses of socketserver.BaseRequestHandler",
    arguments=("request", "client_address", "server"),
    matches=_matches,
    claims=_claims,
    order=10,
    serves=("connections", "datagrams"),
    target_serves=_target_serves,
    mixes=False,  # a request is a socket, or a tuple of data and a socket
)
