"""Listeners: bound sockets, how much waits in them, shutting their door, closing."""

import errno
import os
import selectors
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from prefork.errors import ListenError
from prefork.sockets.addresses import Address, parse_address
from prefork.sockets.binding import adopted, bound, is_datagram
from prefork.sockets.quiesce import (
    open_to_datagrams,
    refuse_connections,
    shut_to_connections,
    shut_to_datagrams,
)

if sys.platform == "linux":
    from prefork.sockets.backlog import handshakes, queue_depths, tcp_queue, udp_queue

#: Poll takes any descriptor; Windows has none, and select there takes any socket.
_Selector: Final = getattr(selectors, "PollSelector", selectors.SelectSelector)


class Listener:
    """A bound socket, listening if it is one for connections, and the address it came from."""

    def __init__(self, sock: socket.socket, address: Address, *, owned: bool) -> None:
        self.socket = sock
        self.address = address
        self.owned = owned  #: bound by us; an adopted socket lives on with whoever gave it
        self.is_datagram = is_datagram(sock)
        self.is_shut = False  #: nothing new comes in
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
        """The socket's number in the kernel's tables; 0 where there are none."""
        return 0 if sys.platform == "win32" else os.fstat(self.socket.fileno()).st_ino

    def queued(self) -> int | None:
        """Return how many connections or datagrams wait; None where the system cannot tell.

        Windows tells only whether there are any.
        Of datagrams, the kernel tells the memory that they take: it is an estimate, and rather
        too low than too high, but 0 only if none waits.
        """
        if sys.platform == "linux":
            if self.is_tcp:
                return tcp_queue(self.socket)
            if not self.is_datagram:
                queue = queue_depths().get(self.inode)
                return None if queue is None else queue.depth
            if self.is_internet:
                return udp_queue(self.socket)
        elif sys.platform != "win32":
            return None
        return int(self._is_readable())

    def arriving(self) -> int | None:
        """Return how many connections wait, those in the middle of their handshake included."""
        queued = self.queued()
        if sys.platform == "linux" and self.is_tcp and not queued:
            return handshakes(self.socket.getsockname()[1])
        return queued

    def stop_listening(self, *, ours: bool = True) -> None:
        """Let nothing more come in, while what is queued can still be taken.

        ``ours`` is whether whoever takes it is: a program of somebody else's is only kept from
        what it does not notice, for it expects neither an error of accept(2) on a Unix socket
        nor a connection that has to be opened.

        TCP: the segments that would open a connection are dropped, so their clients ask again
        and are refused once the socket is closed.  Unix: shutting down the reading side refuses
        new clients at once, and what is queued stays.  Datagrams: all are dropped, and the path
        of a Unix socket goes, so that senders are told.  A socket that was handed to us is left
        alone: its owner keeps it open, and its queue is for whoever comes next.
        """
        if not self.owned:
            return
        if sys.platform == "win32":
            self.is_shut = self.is_tcp and refuse_connections(self.socket)
        elif sys.platform == "linux":
            self._shut(ours=ours)

    def _shut(self, *, ours: bool) -> None:
        if self.is_datagram:
            shut_to_datagrams(self.socket)
            self._remove_path()
            self.is_shut = True
        elif self.is_tcp:
            self.is_shut = shut_to_connections(self.socket, by_hop_limit=ours)
        elif ours:
            self.socket.shutdown(socket.SHUT_RD)
            self.is_shut = True
        else:
            self._remove_path()  # who knows the name by now can still connect
            self.is_shut = self._file is not None

    def close(self) -> None:
        """Close our copy; remove the path of a Unix socket that we bound."""
        self._remove_path()
        if self.is_datagram and self.owned and sys.platform == "linux":
            # The kernel would go on to drop what connected Unix clients send, and tell them of
            # no end, as long as they hold the socket's other end.
            with suppress(OSError):  # it was not shut
                open_to_datagrams(self.socket)
        self.socket.close()

    def _remove_path(self) -> None:
        path = Path(self.address.path)
        # Only if it is still ours: a successor may already have put its own there.
        if self._file is not None and file_identity(path) == self._file:
            path.unlink()

    def _is_readable(self) -> bool:
        with _Selector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            return bool(selector.select(0))


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
