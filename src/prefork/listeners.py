"""Listeners: bound sockets, how much waits in them, shutting their door, closing."""

import ctypes
import errno
import os
import select
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from prefork.addresses import Address, parse_address
from prefork.binding import adopted, bound, is_datagram
from prefork.errors import ListenError
from prefork.queues import handshakes, queue_depths, tcp_queue, udp_queue

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
_SO_ATTACH_FILTER: Final = 26
_SO_DETACH_FILTER: Final = 27


class Listener:
    """A bound socket, listening if it is one for connections, and the address it came from."""

    def __init__(self, sock: socket.socket, address: Address, *, owned: bool) -> None:
        self.socket = sock
        self.address = address
        self.owned = owned  #: bound by us; an adopted socket lives on with whoever gave it
        self.is_datagram = is_datagram(sock)
        self._file = file_identity(Path(address.path)) if owned and address.is_file else None

    @property
    def is_internet(self) -> bool:
        """Tell whether what arrives comes over IP."""
        return self.socket.family in (socket.AF_INET, socket.AF_INET6)

    @property
    def is_tcp(self) -> bool:
        """Tell whether connections arrive over TCP."""
        return self.is_internet and not self.is_datagram

    @property
    def inode(self) -> int:
        """The socket's number in the kernel's tables."""
        return os.fstat(self.socket.fileno()).st_ino

    def queued(self) -> int | None:
        """Return how many connections or datagrams wait; None where the system cannot tell.

        Of datagrams, the kernel tells the memory that they take: it is an estimate, and rather
        too low than too high, but 0 only if none waits.
        """
        if sys.platform != "linux":
            return None
        if self.is_datagram:
            return udp_queue(self.socket) if self.is_internet else int(self._is_readable())
        if self.is_tcp:
            return tcp_queue(self.socket)
        queue = queue_depths().get(self.inode)
        return None if queue is None else queue.depth

    def arriving(self) -> int | None:
        """Return how many connections wait, those in the middle of their handshake included."""
        queued = self.queued()
        if queued or not self.is_tcp:
            return queued
        return handshakes(self.socket.getsockname()[1])

    def stop_listening(self) -> None:
        """Let nothing more come in, while what is queued can still be taken.

        TCP: a filter drops the segments that would open a connection, so their clients ask
        again and are refused once the socket is closed.  Unix: shutting down the reading side
        refuses new clients at once, and what is queued stays.  Datagrams: a filter drops them
        all, and the path of a Unix socket goes, so that senders are told.  A socket that was
        handed to us is left alone: its owner keeps it open, and its queue is for whoever comes
        next.
        """
        if not self.owned or sys.platform != "linux":
            return
        if self.is_datagram:
            self._filter(_DROP_ALL)
            self._remove_path()
        elif self.is_tcp:
            self._filter(_DROP_SYN)
        else:
            self.socket.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Close our copy; remove the path of a Unix socket that we bound."""
        self._remove_path()
        if self.is_datagram and self.owned:
            # The kernel would go on to drop what connected Unix clients send, and tell them of
            # no end, as long as they hold the socket's other end.
            with suppress(OSError):  # there was no filter
                self.socket.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        self.socket.close()

    def _remove_path(self) -> None:
        path = Path(self.address.path)
        # Only if it is still ours: a successor may already have put its own there.
        if self._file is not None and file_identity(path) == self._file:
            path.unlink()

    def _is_readable(self) -> bool:
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(0))

    def _filter(self, program: _Filter) -> None:
        code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
        memory = ctypes.create_string_buffer(code)
        option = struct.pack("HL", len(program), ctypes.addressof(memory))
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, option)


def open_listeners(addresses: Sequence[str], backlog: int) -> list[Listener]:
    """Bind, or adopt, each of ``addresses``; all or none.

    Raises ListenError when one cannot be had.
    """
    opened: list[Listener] = []
    try:
        for text in addresses:
            opened.append(_opened(parse_address(text), backlog))
    except BaseException:
        for listener in opened:
            listener.close()
        raise
    return opened


def peer_text(address: object) -> str:
    """Return the address that ``accept`` gave for a client as text; empty for a Unix socket."""
    if isinstance(address, tuple):
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return os.fsdecode(address) if isinstance(address, (str, bytes)) else ""


def file_identity(path: Path) -> tuple[int, int] | None:
    """Return what tells the file at ``path`` from any other; None if there is none."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _opened(address: Address, backlog: int) -> Listener:
    try:
        if address.scheme == "fd":
            return Listener(*adopted(address), owned=False)
        return Listener(*bound(address, backlog), owned=True)
    except (OSError, UnicodeError) as error:
        raise ListenError(f"cannot listen on {address}: {_reason(error)}") from error


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, socket.gaierror):
        return f"the host is not known ({error.strerror})"
    if not isinstance(error, OSError):
        return f"the host is not a valid name ({error})"
    hints = {
        errno.EADDRINUSE: "the address is in use; is another server running there?",
        errno.EACCES: "permission denied; ports below 1024 and some paths need privileges",
        errno.EADDRNOTAVAIL: "this machine does not have that address",
        errno.ENOENT: "the directory does not exist",
        errno.EBADF: "no such descriptor is open",
        errno.ENOTSOCK: "the descriptor is not a socket",
    }
    return hints.get(error.errno or 0, error.strerror or str(error))
