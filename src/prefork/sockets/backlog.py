"""How many connections, or datagrams, wait in the queues of listeners (Linux).

Asked from the kernel by sock_diag (sock_diag(7)), so that a process that does not hold the
socket, ``prefork status``, can read it as well as one that does.  For a listening socket the
kernel reports the accept queue's length as the receive queue, its limit as the send queue.

For datagrams it counts memory, not datagrams: of UDP sockets all that waits, of Unix sockets the
first that waits.
"""

import contextlib
import fcntl
import os
import socket
import struct
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

from prefork.sockets.queue import Queue

SOCK_DIAG_BY_FAMILY: Final = 20
NETLINK_SOCK_DIAG: Final = 4
NLM_F_REQUEST: Final = 0x1
NLM_F_DUMP: Final = 0x300
NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3

TCP_CLOSE: Final = 7
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

_SO_MEMINFO: Final = 55
_MEMINFO: Final = struct.Struct("=9L")  # the first is the memory of what waits to be received

#: What the kernel takes for a datagram of up to 1,400 bytes; 832 is the least (Linux 6.18,
#: loopback), and network cards' drivers take about this for any.
_DATAGRAM: Final = 2304

_InetMessage = tuple[int, int, int, int, bytes, int, int, int, int, int]


def tcp_queue(listener: socket.socket) -> int:
    """Return the depth of the accept queue of a TCP ``listener`` that we hold.

    TCP_INFO of a listening socket reports it as ``tcpi_unacked`` (tcp(7)).
    """
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 28)
    depth: int = struct.unpack_from("=L", info, 24)[0]
    return depth


def udp_queue(listener: socket.socket) -> int:
    """Return about how many datagrams wait at a UDP ``listener`` that we hold; 0 is exact.

    From the memory that they take, and the length of the first: the kernel reports no more.
    """
    memory = _MEMINFO.unpack(listener.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[0]
    if not memory:
        return 0
    # That counts up to a quarter of the buffer that has been received meanwhile; this not.
    memory = _udp_memory().get(os.fstat(listener.fileno()).st_ino, memory)
    first = bytearray(4)
    fcntl.ioctl(listener, termios.FIONREAD, first)
    # Memory comes in powers of two: about twice the length, at most, and what describes it.
    return _datagrams(memory, max(_DATAGRAM, 2 * int.from_bytes(first, sys.byteorder) + 512))


def _datagrams(memory: int, each: int) -> int:
    return max(memory // each, 1) if memory else 0


def queue_depths() -> dict[int, Queue]:
    """Return what waits at each listening socket and each socket for datagrams, by its inode.

    Covers TCP, UDP and Unix sockets of our network namespace; without those that the system
    does not let us ask for.  The depth of datagrams is an estimate for such of usual length.
    """
    depths = {
        inode: Queue(_datagrams(memory, _DATAGRAM), None) for inode, memory in _udp_memory().items()
    }
    with contextlib.suppress(OSError), _connected() as netlink:
        for family in (socket.AF_INET, socket.AF_INET6):
            depths.update(_tcp_queues(netlink, family))
        depths.update(_unix_queues(netlink))
    return depths


def handshakes(port: int) -> int | None:
    """Return how many connections to TCP ``port`` are being established; None if unknown."""
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
    states = 1 << TCP_LISTEN | 1 << TCP_CLOSE  # the latter is that of a socket for datagrams
    request = _UNIX_REQUEST.pack(
        socket.AF_UNIX, 0, states, 0, UDIAG_SHOW_RQLEN, any_cookie, any_cookie
    )
    for payload in _dump(netlink, request):
        _, kind, state, inode, _, _ = _UNIX_MESSAGE.unpack_from(payload)
        for attribute, value in _attributes(payload[_UNIX_MESSAGE.size :]):
            if attribute != UNIX_DIAG_RQLEN:
                continue
            depth, limit = struct.unpack_from("=LL", value)
            if state == TCP_LISTEN:
                yield inode, Queue(depth, limit)
            elif kind == socket.SOCK_DGRAM:
                yield inode, Queue(int(depth > 0), None)  # the bytes of the first that waits


def _udp_memory() -> dict[int, int]:
    """Return the memory of what waits at each UDP socket, by its inode (proc_net(5))."""
    memory = {}
    for table in ("udp", "udp6"):
        # A kernel without IPv6 has no second one.
        with contextlib.suppress(OSError):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                fields = line.split()
                memory[int(fields[9])] = int(fields[4].partition(":")[2], 16)
    return memory


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
