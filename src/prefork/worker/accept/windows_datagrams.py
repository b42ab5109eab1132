"""Takes datagrams from a shared socket, and answers them (Windows).

A socket whose arrivals are announced (WSAEventSelect) never blocks, in none of the processes that
share it, so a worker that takes or answers waits by other means.  Python has no recvmsg on
Windows: where an answer comes from is up to the system, so a socket that is bound to all addresses
may answer from another one than was asked.
"""

import errno
import os
import select
import socket
from typing import Any

from prefork.logs import log
from prefork.worker.accept.datagrams import LONGEST_UDP, Ancillary, ReceivedDatagram


class DatagramListener(socket.socket):
    """A shared socket for datagrams whose ``accept`` takes one, so that the gate serves it."""

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: Any = None):
        super().__init__(family, type, proto, fileno)
        self._room = bytearray(LONGEST_UDP)

    @property
    def sender(self) -> "DatagramListener":
        """The socket that answers are sent by."""
        return self

    def accept(self) -> tuple[ReceivedDatagram, Any]:  # type: ignore[override]  # for connections
        """Take a datagram; return it and the address of who sent it.

        Raises BlockingIOError when there is none.
        """
        while True:
            try:
                size, address = self.recvfrom_into(self._room)
            except ConnectionResetError:
                continue  # a client was gone when an earlier answer came to it (ICMP)
            except OSError as error:
                if error.errno == errno.ENETRESET:
                    continue  # an earlier answer was on its way for too long (ICMP, too)
                if error.errno != errno.EMSGSIZE:
                    raise
                # How long it was, and whose, is unknown.
                log.current().warning(
                    "datagram dropped", pid=os.getpid(), peer="", size=LONGEST_UDP + 1
                )
                continue
            return ReceivedDatagram(self, bytes(self._room[:size]), address, []), address

    def answer(self, data: bytes, address: Any, source: Ancillary) -> None:
        """Send ``data`` to ``address``; wait for room to do so."""
        assert not source  # where a datagram was sent to is unknown
        self.sendto(data, address)

    def sendto(self, *data_flags_and_address: Any) -> int:
        """Send as ``socket.sendto`` does, and as one that blocks."""
        while True:
            try:
                return super().sendto(*data_flags_and_address)
            except BlockingIOError:
                select.select([], [self], [])
            except ConnectionResetError:
                continue  # that is about an earlier answer, and this one was not sent
