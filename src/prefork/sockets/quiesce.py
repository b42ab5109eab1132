"""Quiescing a listener: nothing new gets in, and what waits can still be taken (Linux).

A classic BPF program on the socket does it (socket(7), SO_ATTACH_FILTER).  Newer systems refuse
that for TCP to unprivileged processes (seen with Linux 6.18).  There a listener takes only packets
with the highest hop limit there is (IP_MINTTL; RFC 5082), which clients do not send.  A connection
whose handshake is under way inherits that, and the process that accepts it has to undo it.
"""

import ctypes
import socket
import struct
from typing import Final

_Filter = tuple[tuple[int, int, int, int], ...]  # a classic BPF program

#: Drops a segment which opens a connection (SYN without ACK) and takes every other: the data of
#: a TCP socket's filter begins at the TCP header.
_DROP_SYN: Final[_Filter] = (
    (0x30, 0, 0, 13),  # load the byte of the flags
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 0, 1, 0x02),  # only SYN?
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # take
)
_DROP_ALL: Final[_Filter] = ((0x06, 0, 0, 0),)
_TAKE_ALL: Final[_Filter] = ((0x06, 0, 0, 0xFFFFFFFF),)
_SO_ATTACH_FILTER: Final = 26
_SO_DETACH_FILTER: Final = 27
_HOP_LIMITS: Final = {
    socket.AF_INET: (socket.IPPROTO_IP, 21),  # IP_MINTTL
    socket.AF_INET6: (socket.IPPROTO_IPV6, 73),  # IPV6_MINHOPCOUNT
}
_HIGHEST: Final = 255


def can_filter() -> bool:
    """Return whether this process may filter what its TCP sockets receive."""
    with socket.socket() as probe:
        try:
            _filter(probe, _TAKE_ALL)
        except PermissionError:
            return False
    return True


def shut_to_connections(listener: socket.socket, *, by_hop_limit: bool) -> bool:
    """Let no TCP connection be opened; a client asks again and again, until all is closed.

    ``by_hop_limit`` is whether to do so where filters are refused, too; else only one connection
    can wait there from now on.  Returns whether nothing gets in.
    """
    try:
        _filter(listener, _DROP_SYN)
    except PermissionError:
        if not by_hop_limit:
            listener.listen(0)
            return False
        level, option = _HOP_LIMITS[listener.family]
        listener.setsockopt(level, option, _HIGHEST)
    return True


def open_connection(connection: socket.socket) -> None:
    """Undo what a connection has inherited from a listener that was quiesced by hop limit."""
    level, option = _HOP_LIMITS[connection.family]
    connection.setsockopt(level, option, 0)


def shut_to_datagrams(sock: socket.socket) -> None:
    """Let no datagram come in."""
    _filter(sock, _DROP_ALL)


def open_to_datagrams(sock: socket.socket) -> None:
    """Take ``shut_to_datagrams`` back; raises OSError when it was not called."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def _filter(sock: socket.socket, program: _Filter) -> None:
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    memory = ctypes.create_string_buffer(code)
    option = struct.pack("HL", len(program), ctypes.addressof(memory))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, option)
