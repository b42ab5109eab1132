"""A listener as a worker holds it."""

import os
import socket
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from prefork.sockets.quiesce import open_connection
from prefork.worker.timeouts import no_default_timeout


class InheritedListener(socket.socket):
    """A shared listener, by its descriptor; cheaper to accept on.

    ``socket.accept`` asks the listener for family and type, and each answer makes an enum
    member anew: a tenth of the Python code of a short connection (docs/internals/measurements).
    """

    @cached_property
    def family(self) -> socket.AddressFamily:
        """The address family; it never changes."""
        return super().family

    @cached_property
    def type(self) -> socket.SocketKind:
        """The socket type; it never changes."""
        return super().type


class ScreenedListener(InheritedListener):
    """A listener that is quiesced by hop limit at a stop, which its connections inherit.

    See ``sockets.quiesce``.
    """

    #: Whether the server stops.  The arbiter publishes that before it quiesces the listener, so
    #: no connection that has inherited anything can be accepted before this is true.
    is_stopping: Callable[[], bool]

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection; at a stop, let it receive from its client again."""
        connection, address = super().accept()
        if self.is_stopping():  # until then, it would be a system call for each client
            open_connection(connection)
        return connection, address


def are_datagram(fds: Iterable[int]) -> tuple[bool, ...]:
    """Return of each of the listeners ``fds`` whether it is for datagrams."""
    return tuple(_is_datagram(fd) for fd in fds)


def _is_datagram(fd: int) -> bool:
    with no_default_timeout(), socket.socket(fileno=os.dup(fd)) as probe:
        return probe.type == socket.SOCK_DGRAM
