"""A datagram that was taken, and the way to answer it; how they are taken depends on the system."""

import errno
import socket
from typing import Any, Final, Protocol

LONGEST_UDP: Final = 1 << 16

#: Messages of sendmsg(2): where an answer is to come from, if the system does not know.
Ancillary = list[tuple[int, int, bytes]]


class Answering(Protocol):
    """A listener for datagrams: how it answers them."""

    @property
    def sender(self) -> socket.socket:
        """The socket that answers are sent by."""

    def answer(self, data: bytes, address: Any, source: Ancillary) -> None:
        """Send ``data`` to ``address``, from the address in ``source``; wait for room to do so."""


class ReceivedDatagram:
    """A datagram that was taken, and the way to answer it; in the place of a connection."""

    __slots__ = ("_listener", "_source", "address", "data")

    def __init__(self, listener: Answering, data: bytes, address: Any, source: Ancillary) -> None:
        self.data = data
        self.address = address  #: as of a connection; None for a client without one
        self._listener: Answering | None = listener
        self._source = source

    def reply(self, data: bytes) -> None:
        """Send ``data`` to where this came from, and from where this was sent to.

        Possible as often as one likes until the datagram is closed.  Raises OSError when the
        system does not take it: it is too long, or the client has no address.
        """
        listener = self._listener
        if listener is None:
            raise RuntimeError("reply() is called after the handler of the datagram has returned")
        if not self.address:
            raise OSError(
                errno.EDESTADDRREQ,
                "the client has no address to reply to: it has not bound its Unix socket",
            )
        listener.answer(data, self.address, self._source)

    @property
    def sender(self) -> socket.socket:
        """The socket that answers are sent by."""
        assert self._listener is not None  # asked for before it is closed
        return self._listener.sender

    def close(self) -> None:
        """Take no further answer."""
        self._listener = None
