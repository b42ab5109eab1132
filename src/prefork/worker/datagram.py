"""Datagrams: taking them from a shared socket one at a time, and answering them."""

import errno
import mmap
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from prefork import log
from prefork.binding import IP_PKTINFO, is_wildcard
from prefork.listeners import peer_text
from prefork.worker.inherited import InheritedListener, ScreenedListener, are_datagram

DatagramHandler = Callable[[bytes, Any, Callable[[bytes], None]], object]

#: By family: level and type of the message with the address that a datagram was sent to.
_DESTINATION: Final = {
    socket.AF_INET: (socket.IPPROTO_IP, IP_PKTINFO),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO),
}
_ROOM: Final = 512  # for that, and for what the owner of an adopted socket may have asked for
_LONGEST_UDP: Final = 1 << 16

_Ancillary = list[tuple[int, int, bytes]]


class Datagram:
    """A datagram that was taken, and the way to answer it; in the place of a connection."""

    __slots__ = ("_listener", "_source", "address", "data")

    def __init__(
        self, listener: "DatagramListener", data: bytes, address: Any, source: _Ancillary
    ) -> None:
        self.data = data
        self.address = address  #: as of a connection; None for a client without one
        self._listener: DatagramListener | None = listener
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
        if self._source:
            listener.sender.sendmsg([data], self._source, 0, self.address)
        else:
            listener.sender.sendto(data, self.address)

    @property
    def sender(self) -> socket.socket:
        """The socket that answers are sent by."""
        assert self._listener is not None  # asked for before it is closed
        return self._listener.sender

    def close(self) -> None:
        """Take no further answer."""
        self._listener = None


class DatagramListener(InheritedListener):
    """A shared socket for datagrams whose ``accept`` takes one, so that every gate serves it.

    The socket itself is always in blocking mode, also where the gate must not block: then each
    taking says so.  So an answer waits for room in a full buffer, under every gate.
    """

    def __init__(self, fd: int, *, wait: bool) -> None:
        super().__init__(fileno=fd)
        # Answers go by a descriptor of their own: the other one leads to a dead socket as soon
        # as this worker is to leave, and who is at work then may still answer.
        self.sender = socket.socket(fileno=os.dup(fd))
        # Only what is touched takes memory, and there is room for the longest.
        self._room = mmap.mmap(-1, _longest(self.family), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        # MSG_TRUNC: the length is told even of a datagram that does not fit.
        self._flags = socket.MSG_TRUNC | (0 if wait else socket.MSG_DONTWAIT)
        self._any = is_wildcard(self)

    def accept(self) -> tuple[Datagram, Any]:  # type: ignore[override]  # for connections
        """Take a datagram; return it and the address of who sent it.

        Blocks until one is there, unless the gate waits elsewhere: then BlockingIOError is raised.
        """
        while True:
            source: _Ancillary = []
            if self._any:
                size, came, _, address = self.recvmsg_into([self._room], _ROOM, self._flags)
                source = self._source(came)
            else:
                size, address = self.recvfrom_into(self._room, 0, self._flags)
            if size <= len(self._room):
                return Datagram(self, self._room[:size], address, source), address
            log.current().warning(
                "datagram dropped", pid=os.getpid(), peer=peer_text(address), size=size
            )

    def close(self) -> None:
        """Let go of both descriptors."""
        self.sender.close()
        super().close()

    def _source(self, came: _Ancillary) -> _Ancillary:
        """Return what makes an answer come from where the datagram was sent to."""
        for level, kind, value in came:
            if (level, kind) == self._destination:
                return self._from(level, kind, value)
        return []

    @cached_property
    def _destination(self) -> tuple[int, int]:
        return _DESTINATION[self.family]

    def _from(self, level: int, kind: int, value: bytes) -> _Ancillary:
        if self.family == socket.AF_INET:
            # struct in_pktinfo: interface, our address, the destination.  The second also holds
            # for a broadcast; the route tells the interface.
            return [(level, kind, bytes(4) + value[4:8] + bytes(4))]
        # struct in6_pktinfo: the destination, interface.  Nothing can come from a multicast
        # address; a link-local one is ours on its interface only.
        if value[0] == 0xFF:
            return []
        is_local = value[0] == 0xFE and value[1] & 0xC0 == 0x80
        return [(level, kind, value if is_local else value[:16] + bytes(4))]


def datagram_handler(handler: DatagramHandler) -> Callable[[Datagram, Any], object]:
    """Return ``handler(data, address, reply)`` as a function of what a gate lets in."""

    def handle(datagram: Datagram, address: Any) -> object:
        return handler(datagram.data, address, datagram.reply)

    return handle


def inherit(fds: Sequence[int], *, wait: bool, screened: bool) -> list[InheritedListener]:
    """Return the shared listeners ``fds``.

    ``wait`` is whether to take a datagram may block; ``screened`` is as in ``Plan``.
    """
    return [
        DatagramListener(fd, wait=wait) if datagram else _stream_listener(fd, screened=screened)
        for fd, datagram in zip(fds, are_datagram(fds), strict=True)
    ]


def _stream_listener(fd: int, *, screened: bool) -> InheritedListener:
    listener = InheritedListener(fileno=fd)
    if not screened or listener.family == socket.AF_UNIX:
        return listener
    return ScreenedListener(fileno=listener.detach())


def _longest(family: int) -> int:
    """Return how long a datagram can be: over Unix sockets, what senders may have in flight."""
    if family != socket.AF_UNIX:
        return _LONGEST_UDP
    with suppress(OSError, ValueError):
        # setsockopt(SO_SNDBUF) takes up to this and doubles it (socket(7)).
        return max(2 * int(Path("/proc/sys/net/core/wmem_max").read_text()), 1 << 18)
    return 1 << 23
