"""Makes the sockets behind addresses: binds them, or adopts what another process has bound."""

import _socket
import errno
import os
import socket
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from prefork.errors import ListenError
from prefork.sockets.addresses import Address

#: Options of ip(7) and ipv6(7): with each datagram comes the address it was sent to.
IP_PKTINFO: Final = 8
if sys.platform != "win32":
    _PKTINFO: Final = {
        socket.AF_INET: (socket.IPPROTO_IP, IP_PKTINFO),
        socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO),
    }
_INTERNET: Final = (socket.AF_INET, socket.AF_INET6)


def bound(address: Address, backlog: int) -> tuple[socket.socket, Address]:
    """Return a socket bound to ``address``, and where it is: port 0 has become a port.

    One for connections listens, with room for ``backlog`` of them.  Raises OSError, and
    UnicodeError for a host that could not be a name.
    """
    if sys.platform != "win32" and address.scheme in ("unix", "unixgram"):
        return _bound_unix(address, backlog), address
    return _bound_internet(address, backlog)


def is_datagram(sock: socket.socket) -> bool:
    """Tell whether ``sock`` is for datagrams, not for connections."""
    return sock.type == socket.SOCK_DGRAM


def is_wildcard(sock: socket.socket) -> bool:
    """Tell whether ``sock`` has the address of no interface, and so those of all."""
    return sock.family in _INTERNET and sock.getsockname()[0] in ("0.0.0.0", "::")


def duplicate(fd: int) -> socket.socket:
    """Return a socket of our own for the inherited socket ``fd``; raises OSError."""
    return socket.socket(fileno=_copy(fd))


def takes_datagrams(addresses: Iterable[Address]) -> set[bool]:
    """Tell whether there are addresses for datagrams, and others, without binding any."""
    known = {"tcp": False, "unix": False, "udp": True, "unixgram": True}
    found = set()
    for address in addresses:
        if address.scheme != "fd":
            found.add(known[address.scheme])
            continue
        with suppress(OSError), duplicate(address.fd) as sock:
            found.add(is_datagram(sock))
    return found


if sys.platform == "win32":

    def _copy(handle: int) -> int:
        return _socket.dup(handle)  # a socket's own way: WSADuplicateSocket

    def _close(handle: int) -> None:
        with suppress(OSError):  # Wine does not close a socket that came by inheritance
            _socket.close(handle)
else:
    _copy, _close = os.dup, os.close


def _bound_internet(address: Address, backlog: int) -> tuple[socket.socket, Address]:
    kind = socket.SOCK_STREAM if address.scheme == "tcp" else socket.SOCK_DGRAM
    family, _, _, _, where = socket.getaddrinfo(
        address.host, address.port, type=kind, flags=socket.AI_PASSIVE
    )[0]
    # With its protocol: asyncio looks at that, and Windows does not tell it afterwards.
    sock = socket.socket(family, kind, socket.IPPROTO_TCP if kind == socket.SOCK_STREAM else 0)
    try:
        if family == socket.AF_INET6:
            # So that 0.0.0.0 and [::] can be listened on side by side.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if sys.platform == "win32":
            # There SO_REUSEADDR lets two servers bind one address, and nothing tells who gets what.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        elif kind == socket.SOCK_STREAM:
            # Not for datagrams: two servers could bind one address, and the last would get all.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if kind == socket.SOCK_STREAM:
            # Accepted connections inherit it on Linux.  Without it a handler that answers in two
            # writes waits 40 ms for the client's delayed acknowledgement.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind(where)
        if kind == socket.SOCK_STREAM:
            sock.listen(backlog)
        else:
            _tell_destinations(sock)
    except BaseException:
        sock.close()
        raise
    host, port = sock.getsockname()[:2]
    return sock, Address(address.scheme, host=host, port=port)


def _tell_destinations(sock: socket.socket) -> None:
    """Have each datagram come with the address it was sent to, if that could be any of ours.

    The answer has to come from there: a client takes none from elsewhere.
    """
    if sys.platform != "win32" and is_wildcard(sock):
        level, option = _PKTINFO[sock.family]
        sock.setsockopt(level, option, 1)


if sys.platform != "win32":

    def _bound_unix(address: Address, backlog: int) -> socket.socket:
        is_stream = address.scheme == "unix"
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM if is_stream else socket.SOCK_DGRAM)
        try:
            if address.is_file:
                remove_stale_socket(Path(address.path))
                sock.bind(address.path)
            else:
                sock.bind("\0" + address.path[1:])
            if is_stream:
                sock.listen(backlog)
        except BaseException:
            sock.close()
            raise
        return sock

    def remove_stale_socket(path: Path) -> None:
        """Remove the socket that a dead server has left at ``path``, whatever it was for.

        Raises OSError when something else is there: a server that lives, or no socket at all.
        """
        try:
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise FileExistsError(errno.EEXIST, "a file that is no socket is in the way")
        except FileNotFoundError:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            # A server whose backlog is full makes a non-blocking connect say EAGAIN, one for
            # datagrams EPROTOTYPE: it lives.
            probe.setblocking(False)
            if probe.connect_ex(str(path)) != errno.ECONNREFUSED:
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        path.unlink()


def adopted(address: Address) -> tuple[socket.socket, Address]:
    """Return the inherited socket that ``address`` names by its descriptor, and where it is.

    Raises ListenError when it cannot be served, OSError when it is no socket.
    """
    sock = duplicate(address.fd)
    try:
        if is_datagram(sock):
            where = _datagram_address(sock)
            if where is None:
                raise ListenError(f"cannot listen on {address}: that socket is not bound")
            _tell_destinations(sock)
        else:
            if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                raise ListenError(f"cannot listen on {address}: that socket is not listening")
            where = _address("tcp", "unix", sock)
    except BaseException:
        sock.close()
        raise
    # The original stays open for nobody: a worker would inherit it under two numbers.
    _close(address.fd)
    return sock, where


def _datagram_address(sock: socket.socket) -> Address | None:
    """Return where a socket for datagrams is bound; None if nobody could send to it."""
    if sys.platform != "win32" and sock.family not in (*_INTERNET, socket.AF_UNIX):
        return None
    where = _address("udp", "unixgram", sock)
    return where if where.path or where.port else None


def _address(
    internet: Literal["tcp", "udp"], local: Literal["unix", "unixgram"], sock: socket.socket
) -> Address:
    name = sock.getsockname()
    if sock.family not in _INTERNET:
        if isinstance(name, bytes):
            return Address(local, path="@" + os.fsdecode(name[1:])) if name else Address(local)
        return Address(local, path=name)
    return Address(internet, host=name[0], port=name[1])
