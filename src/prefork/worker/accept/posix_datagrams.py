"""Takes datagrams from a shared socket, and sends their answers from where they were sent to."""

import mmap
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from prefork.logs import log
from prefork.sockets.binding import is_wildcard
from prefork.sockets.listeners import peer_text
from prefork.sockets.posix import IP_PKTINFO
from prefork.worker.accept.datagrams import LONGEST_UDP, Ancillary, ReceivedDatagram
from prefork.worker.accept.listeners import InheritedListener, ScreenedListener, are_datagram

#: By family: level and type of the message with the address that a datagram was sent to.
_DESTINATION: Final = {
    socket.AF_INET: (socket.IPPROTO_IP, IP_PKTINFO),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO),
}
_ROOM: Final = 512  # for that, and for what the owner of an adopted socket may have asked for


class DatagramListener(InheritedListener):
    """A shared socket for datagrams whose ``accept`` takes one, so that every gate serves it.

    The socket itself is always in blocking mode, also where the gate must not block: then each
    receiving call asks for that.  So an answer waits for room in a full buffer, under every gate.
    """

    def __init__(self, fd: int, *, wait: bool) -> None:
        super().__init__(fileno=fd)
        # Answers go by a descriptor of their own: the other one leads to a dead socket as soon
        # as this worker is to leave, and handlers at work then may still answer.
        self.sender = socket.socket(fileno=os.dup(fd))
        # Only what is touched takes memory, and there is room for the longest.
        self._room = mmap.mmap(-1, _longest(self.family), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        # MSG_TRUNC: the length is returned even of a datagram that does not fit.
        self._flags = socket.MSG_TRUNC | (0 if wait else socket.MSG_DONTWAIT)
        self._any = is_wildcard(self)

    def accept(self) -> tuple[ReceivedDatagram, Any]:  # type: ignore[override]  # for connections
        """Take a datagram; return it and the address of who sent it.

        Blocks until one is there, unless the gate waits elsewhere: then BlockingIOError is raised.
        """
        while True:
            source: Ancillary = []
            if self._any:
                size, came, _, address = self.recvmsg_into([self._room], _ROOM, self._flags)
                source = self._source(came)
            else:
                size, address = self.recvfrom_into(self._room, 0, self._flags)
            if size <= len(self._room):
                return ReceivedDatagram(self, self._room[:size], address, source), address
            log.current().warning(
                "datagram dropped", pid=os.getpid(), peer=peer_text(address), size=size
            )

    def answer(self, data: bytes, address: Any, source: Ancillary) -> None:
        """Send ``data`` to ``address``, from the address in ``source``."""
        if source:
            self.sender.sendmsg([data], source, 0, address)
        else:
            self.sender.sendto(data, address)

    def close(self) -> None:
        """Close both descriptors."""
        self.sender.close()
        super().close()

    def _source(self, came: Ancillary) -> Ancillary:
        """Return what makes an answer come from where the datagram was sent to."""
        for level, kind, value in came:
            if (level, kind) == self._destination:
                return self._from(level, kind, value)
        return []

    @cached_property
    def _destination(self) -> tuple[int, int]:
        return _DESTINATION[self.family]

    def _from(self, level: int, kind: int, value: bytes) -> Ancillary:
        if self.family == socket.AF_INET:
            # struct in_pktinfo: interface, our address, the destination.  The second also holds
            # for a broadcast; the route leads to the interface.
            return [(level, kind, bytes(4) + value[4:8] + bytes(4))]
        # struct in6_pktinfo: the destination, interface.  Nothing can come from a multicast
        # address; a link-local one is ours on its interface only.
        if value[0] == 0xFF:
            return []
        is_local = value[0] == 0xFE and value[1] & 0xC0 == 0x80
        return [(level, kind, value if is_local else value[:16] + bytes(4))]


def inherit(
    fds: Sequence[int], *, wait: bool, screened: Callable[[], bool] | None
) -> list[InheritedListener]:
    """Return the shared listeners ``fds``.

    ``wait`` is whether to take a datagram may block.  ``screened`` is how to find out that the
    server stops, if connections have to be opened then.
    """
    return [
        DatagramListener(fd, wait=wait) if datagram else _stream_listener(fd, screened=screened)
        for fd, datagram in zip(fds, are_datagram(fds), strict=True)
    ]


def _stream_listener(fd: int, *, screened: Callable[[], bool] | None) -> InheritedListener:
    listener = InheritedListener(fileno=fd)
    if screened is None or listener.family == socket.AF_UNIX:
        return listener
    screened_listener = ScreenedListener(fileno=listener.detach())
    screened_listener.is_stopping = screened
    return screened_listener


def _longest(family: int) -> int:
    """Return how long a datagram can be: over Unix sockets, what senders may have in flight."""
    if family != socket.AF_UNIX:
        return LONGEST_UDP
    with suppress(OSError, ValueError):
        # setsockopt(SO_SNDBUF) takes up to this and doubles it (socket(7)).
        return max(2 * int(Path("/proc/sys/net/core/wmem_max").read_text()), 1 << 18)
    return 1 << 23
