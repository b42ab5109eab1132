"""Makes the sockets behind addresses: binds them, or adopts what another process has bound."""

import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, Literal

from prefork.errors import ListenError
from prefork.sockets import system
from prefork.sockets.addresses import Address

_INTERNET: Final = (socket.AF_INET, socket.AF_INET6)


def bound(address: Address, backlog: int) -> tuple[socket.socket, Address]:
    """Return a socket bound to ``address``, and where it is: port 0 has become a port.

    One for connections listens, with room for ``backlog`` of them.  Raises OSError, and
    UnicodeError for a host that could not be a name.
    """
    if address.scheme in ("unix", "unixgram"):
        return _bound_local(address, backlog), address
    return _bound_internet(address, backlog)


def is_datagram(sock: socket.socket) -> bool:
    """Return whether ``sock`` is for datagrams, not for connections."""
    return sock.type == socket.SOCK_DGRAM


def is_wildcard(sock: socket.socket) -> bool:
    """Return whether ``sock`` has the address of no interface, and so those of all."""
    return sock.family in _INTERNET and sock.getsockname()[0] in ("0.0.0.0", "::")


def duplicate(fd: int) -> socket.socket:
    """Return a socket of our own for the inherited socket ``fd``; raises OSError."""
    return socket.socket(fileno=system.copy_of(fd))


def takes_datagrams(addresses: Iterable[Address]) -> set[bool]:
    """Return whether there are addresses for datagrams, and others, without binding any."""
    known = {"tcp": False, "unix": False, "udp": True, "unixgram": True}
    found = set()
    for address in addresses:
        if address.scheme != "fd":
            found.add(known[address.scheme])
            continue
        with suppress(OSError), duplicate(address.fd) as sock:
            found.add(is_datagram(sock))
    return found


def _bound_local(address: Address, backlog: int) -> socket.socket:
    is_stream = address.scheme == "unix"
    kind = socket.SOCK_STREAM if is_stream else socket.SOCK_DGRAM
    sock = system.bind_local(address.path, kind)
    try:
        if is_stream:
            sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _bound_internet(address: Address, backlog: int) -> tuple[socket.socket, Address]:
    kind = socket.SOCK_STREAM if address.scheme == "tcp" else socket.SOCK_DGRAM
    family, _, _, _, where = socket.getaddrinfo(
        address.host, address.port, type=kind, flags=socket.AI_PASSIVE
    )[0]
    # With its protocol: asyncio looks at that, and Windows does not report it afterwards.
    sock = socket.socket(family, kind, socket.IPPROTO_TCP if kind == socket.SOCK_STREAM else 0)
    try:
        if family == socket.AF_INET6:
            # So that 0.0.0.0 and [::] can be listened on side by side.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        system.claim(sock)
        if kind == socket.SOCK_STREAM:
            # Accepted connections inherit it on Linux.  Without it a handler that answers in two
            # writes waits 40 ms for the client's delayed acknowledgement.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind(where)
        if kind == socket.SOCK_STREAM:
            sock.listen(backlog)
        else:
            _report_destinations(sock)
    except BaseException:
        sock.close()
        raise
    host, port = sock.getsockname()[:2]
    return sock, Address(address.scheme, host=host, port=port)


def _report_destinations(sock: socket.socket) -> None:
    """Have each datagram come with the address it was sent to, if that could be any of ours.

    The answer has to come from there: a client takes none from elsewhere.
    """
    if is_wildcard(sock):
        system.report_destinations(sock)


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
            _report_destinations(sock)
        else:
            if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                raise ListenError(f"cannot listen on {address}: that socket is not listening")
            where = _address("tcp", "unix", sock)
    except BaseException:
        sock.close()
        raise
    # The original must not stay open: a worker would inherit it under two numbers.
    system.close_number(address.fd)
    return sock, where


def _datagram_address(sock: socket.socket) -> Address | None:
    """Return where a socket for datagrams is bound; None if nothing could be sent to it."""
    if not system.can_be_named(sock):
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
