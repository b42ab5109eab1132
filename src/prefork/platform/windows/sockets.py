"""Sockets that several processes share (Windows)."""

import _socket
import ctypes
import os
import socket
from ctypes import wintypes
from typing import Final

from prefork.platform.windows.api import Handle

_WSAENOTSOCK: Final = 10038
_FD_READ: Final = 1
_FD_ACCEPT: Final = 8

_INVALID_SOCKET: Final = ctypes.c_size_t(-1).value

_library: Final = ctypes.WinDLL("ws2_32", use_last_error=True)
_accept = _library.accept
_accept.restype = ctypes.c_size_t
_accept.argtypes = (ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p)
_WSAEventSelect = _library.WSAEventSelect
_WSAEventSelect.restype = ctypes.c_int
_WSAEventSelect.argtypes = (ctypes.c_size_t, wintypes.HANDLE, ctypes.c_long)


def adopted(handle: int, cls: type[socket.socket] = socket.socket) -> socket.socket:
    """Return the socket behind the inherited ``handle``; raises OSError when there is none.

    Wine 8 keeps a list of the sockets that a process has made, and refuses most for one that came
    by inheritance (WSAENOTSOCK); a duplicate, by WSADuplicateSocket, is on the list.
    """
    os.set_handle_inheritable(handle, False)  # the user's code may start programs
    try:
        return cls(fileno=handle)
    except OSError as error:
        if error.winerror != _WSAENOTSOCK:
            raise
    # Not socket.dup(): it also sets the time-out, which fails while the socket announces its
    # clients to any process.
    duplicate = _socket.dup(handle)
    Handle(handle).close()
    return cls(fileno=duplicate)


def shared(handle: int, pid: int) -> bytes:
    """Return the bytes of which ``received`` makes the socket ``handle`` in the process ``pid``."""
    sock = socket.socket(fileno=handle)
    try:
        data = sock.share(pid)
    finally:
        sock.detach()
    return len(data).to_bytes(4, "big") + data


def received(
    channel: socket.socket, give_up_on: bytes, cls: type[socket.socket] = socket.socket
) -> socket.socket:
    """Return the socket that comes by ``channel``; raises OSError, also for ``give_up_on``.

    With some providers of sockets (WSAPROTOCOL_INFO, XP1_IFS_HANDLES) an inherited handle is no
    socket; WSADuplicateSocket is the way for all of them.
    """
    while first := _exactly(channel, 1).strip(b"\0"):  # no size begins like that, a word does
        if first == give_up_on:
            raise ConnectionError("the arbiter does not need this worker any more")
    size = int.from_bytes(_exactly(channel, 3), "big")
    return cls(fileno=socket.fromshare(_exactly(channel, size)).detach())


def _exactly(channel: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = channel.recv(size - len(data))
        if not part:
            raise ConnectionError("the arbiter is gone")
        data += part
    return data


def accepted_handle(listener: socket.socket) -> int:
    """Accept a connection and return its handle alone; raises OSError.

    ``socket.accept`` also asks for its address, its type and more: five system calls, for which the
    next worker would have to wait.
    """
    handle: int = _accept(listener.fileno(), None, None)
    if handle == _INVALID_SOCKET:
        raise ctypes.WinError(ctypes.get_last_error())
    return handle


def announce_clients(listener: socket.socket, event: int) -> None:
    """Have ``event`` set when a client, or a datagram, comes, and no other event any more.

    From then on taking it from ``listener`` never blocks.
    """
    _select(listener, event, _FD_READ if listener.type == socket.SOCK_DGRAM else _FD_ACCEPT)


def announce_nothing(connection: socket.socket) -> None:
    """Undo what ``connection`` has from its listener: it announces nothing, and blocks."""
    _select(connection, None, 0)
    connection.setblocking(True)


def _select(sock: socket.socket, event: int | None, events: int) -> None:
    if _WSAEventSelect(sock.fileno(), event, events):
        raise ctypes.WinError(ctypes.get_last_error())
