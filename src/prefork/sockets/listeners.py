"""Listeners: bound sockets, how much waits in them, quiescing them, closing."""

import errno
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from prefork.errors import ListenError
from prefork.sockets import system
from prefork.sockets.addresses import Address, parse_address
from prefork.sockets.binding import adopted, bound, is_datagram


class Listener:
    """A bound socket, listening if it is one for connections, and the address it came from."""

    def __init__(self, sock: socket.socket, address: Address, *, owned: bool) -> None:
        self.socket = sock
        self.address = address
        self.owned = owned  #: bound by us; an adopted socket lives on in the process it is from
        self.is_datagram = is_datagram(sock)
        self.is_shut = False  #: nothing new comes in
        self._file = file_identity(Path(address.path)) if owned and address.is_file else None

    @property
    def is_internet(self) -> bool:
        """Return whether what arrives comes over IP."""
        return self.socket.family in (socket.AF_INET, socket.AF_INET6)

    @property
    def is_tcp(self) -> bool:
        """Return whether connections arrive over TCP."""
        return self.is_internet and not self.is_datagram

    @property
    def inode(self) -> int:
        """The socket's number in the kernel's tables; 0 where there are none."""
        return system.inode(self.socket)

    def queued(self) -> int | None:
        """Return how many connections or datagrams wait; None where the system does not know.

        Windows only knows whether there are any; of datagrams it is an estimate.
        """
        return system.queued(self.socket)

    def arriving(self) -> int | None:
        """Return how many connections wait, those in the middle of their handshake included."""
        return system.arriving(self.socket)

    def stop_listening(self, *, ours: bool = True) -> None:
        """Let nothing more get in, while what is queued can still be taken.

        ``ours`` is False if a program that is not ours takes it: that is only kept from what it
        does not notice, for it expects neither an error of accept(2) on a Unix socket nor a
        connection that has to be opened.

        A socket that was handed to us is left alone: its owner keeps it open, and its queue is for
        the next server.
        """
        if self.owned:
            remove_path = self._remove_path
            self.is_shut = system.quiesce(self.socket, ours=ours, remove_path=remove_path)

    def close(self) -> None:
        """Close our copy; remove the path of a Unix socket that we bound."""
        self._remove_path()
        if self.owned:
            system.release(self.socket)
        self.socket.close()

    def _remove_path(self) -> bool:
        """Remove the path that we bound; return whether we bound one."""
        path = Path(self.address.path)
        # Only if it is still ours: a successor may already have put its own there.
        if self._file is not None and file_identity(path) == self._file:
            path.unlink()
        return self._file is not None


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
    """Return what distinguishes the file at ``path`` from any other; None if there is none."""
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
