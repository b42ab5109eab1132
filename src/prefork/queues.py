"""How many connections wait in the accept queues of listening sockets (Linux).

Asked from the kernel by sock_diag (sock_diag(7)), so that a process that does not hold the
socket, ``prefork status``, can read it as well as one that does.  For a listening socket the
kernel reports the accept queue's length as the receive queue, its limit as the send queue.
"""

import contextlib
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

SOCK_DIAG_BY_FAMILY: Final = 20
NETLINK_SOCK_DIAG: Final = 4
NLM_F_REQUEST: Final = 0x1
NLM_F_DUMP: Final = 0x300
NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3

TCP_LISTEN: Final = 10
TCP_SYN_RECV: Final = 3
UDIAG_SHOW_RQLEN: Final = 0x10
UNIX_DIAG_RQLEN: Final = 4

_HEADER: Final = struct.Struct("=LHHLL")  # struct nlmsghdr
_INET_REQUEST: Final = struct.Struct("=BBBxL48s")  # struct inet_diag_req_v2
_INET_MESSAGE: Final = struct.Struct("=BBBB48sLLLLL")  # struct inet_diag_msg
_UNIX_REQUEST: Final = struct.Struct("=BBxxLLLLL")  # struct unix_diag_req
_UNIX_MESSAGE: Final = struct.Struct("=BBBxLLL")  # struct unix_diag_msg
_ATTRIBUTE: Final = struct.Struct("=HH")  # struct rtattr

_InetMessage = tuple[int, int, int, int, bytes, int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Queue:
    """The accept queue of a listening socket."""

    depth: int  #: so many connections wait
    limit: int  #: of listen(2), which the kernel may have lowered to net.core.somaxconn


def tcp_queue(listener: socket.socket) -> int:
    """Return the depth of the accept queue of a TCP ``listener`` that we hold.

    TCP_INFO of a listening socket reports it as ``tcpi_unacked`` (tcp(7)).
    """
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 28)
    depth: int = struct.unpack_from("=L", info, 24)[0]
    return depth


def queue_depths() -> dict[int, Queue]:
    """Return depth and limit of the accept queue of each listening socket, by its inode.

    Covers TCP and Unix sockets of our network namespace; empty where the system has no
    sock_diag or does not let us ask.
    """
    if sys.platform != "linux":
        return {}
    depths: dict[int, Queue] = {}
    with contextlib.suppress(OSError), _connected() as netlink:
        for family in (socket.AF_INET, socket.AF_INET6):
            depths.update(_tcp_queues(netlink, family))
        depths.update(_unix_queues(netlink))
    return depths


def handshakes(port: int) -> int | None:
    """Return how many connections to TCP ``port`` are being established; None if unknown."""
    if sys.platform != "linux":
        return None
    try:
        with _connected() as netlink:
            return sum(
                1
                for family in (socket.AF_INET, socket.AF_INET6)
                for message in _inet_messages(netlink, family, TCP_SYN_RECV)
                if message[4][:2] == port.to_bytes(2, "big")
            )
    except OSError:
        return None


def _connected() -> socket.socket:
    netlink = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG
    )
    netlink.settimeout(1.0)
    return netlink


def _tcp_queues(netlink: socket.socket, family: int) -> Iterator[tuple[int, Queue]]:
    for message in _inet_messages(netlink, family, TCP_LISTEN):
        _, _, _, _, _, _, depth, limit, _, inode = message
        yield inode, Queue(depth, limit)


def _inet_messages(netlink: socket.socket, family: int, state: int) -> Iterator[_InetMessage]:
    request = _INET_REQUEST.pack(family, socket.IPPROTO_TCP, 0, 1 << state, b"")
    for payload in _dump(netlink, request):
        yield cast(_InetMessage, _INET_MESSAGE.unpack_from(payload))


def _unix_queues(netlink: socket.socket) -> Iterator[tuple[int, Queue]]:
    any_cookie = 0xFFFFFFFF
    request = _UNIX_REQUEST.pack(
        socket.AF_UNIX, 0, 1 << TCP_LISTEN, 0, UDIAG_SHOW_RQLEN, any_cookie, any_cookie
    )
    for payload in _dump(netlink, request):
        inode = _UNIX_MESSAGE.unpack_from(payload)[3]
        for kind, value in _attributes(payload[_UNIX_MESSAGE.size :]):
            if kind == UNIX_DIAG_RQLEN:
                yield inode, Queue(*struct.unpack_from("=LL", value))


def _dump(netlink: socket.socket, request: bytes) -> Iterator[bytes]:
    """Ask for all sockets that match ``request``; yield the payload of each answer."""
    length = _HEADER.size + len(request)
    flags = NLM_F_REQUEST | NLM_F_DUMP
    netlink.send(_HEADER.pack(length, SOCK_DIAG_BY_FAMILY, flags, 0, 0) + request)
    while True:
        data = netlink.recv(1 << 16)
        while data:
            length, kind, _, _, _ = _HEADER.unpack_from(data)
            if kind in (NLMSG_DONE, NLMSG_ERROR):
                return
            yield data[_HEADER.size : length]
            data = data[_aligned(length) :]


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        yield kind, data[_ATTRIBUTE.size : length]
        data = data[_aligned(length) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3
