"""Listeners: addresses as text, binding, adopting, the depth of the accept queue, closing."""

import ctypes
import errno
import os
import re
import socket
import stat
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from prefork.errors import ListenError
from prefork.queues import handshakes, queue_depths, tcp_queue

Scheme = Literal["tcp", "unix", "fd"]

_HOST_PORT: Final = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]/]*):(?P<port>[0-9]+)")

#: A classic BPF program that drops a segment which opens a connection (SYN without ACK) and
#: takes every other: the data of a TCP socket's filter begins at the TCP header.
_DROP_SYN: Final = (
    (0x30, 0, 0, 13),  # load the byte of the flags
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 0, 1, 0x02),  # only SYN?
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # take
)
_SO_ATTACH_FILTER: Final = 26


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; ``str()`` is its canonical text, as in status and log."""

    scheme: Scheme
    host: str = ""  #: of tcp
    port: int = 0  #: of tcp; 0 is any free one
    path: str = ""  #: of unix; an abstract name begins with ``@``
    fd: int = -1  #: of fd

    def __str__(self) -> str:
        match self.scheme:
            case "tcp":
                host = f"[{self.host}]" if ":" in self.host else self.host
                return f"tcp://{host}:{self.port}"
            case "unix":
                return f"unix:{self.path}"
            case "fd":
                return f"fd://{self.fd}"

    @property
    def is_file(self) -> bool:
        """Tell whether the address is a Unix socket in the file system."""
        return self.scheme == "unix" and not self.path.startswith("@")


def parse_address(text: str) -> Address:
    """Return the address in ``text``: ``[tcp://]HOST:PORT``, ``unix:PATH``, ``fd://N`` …

    Raises ListenError when the text is no address, or of a kind this version does not serve.
    """
    scheme, separator, rest = text.partition("://")
    if not separator and text.startswith("unix:"):
        scheme, rest = "unix", text.removeprefix("unix:")
    elif not separator:
        scheme, rest = "tcp", text
    match scheme:
        case "tcp":
            return _tcp_address(text, rest)
        case "unix" if 0 < len(os.fsencode(rest)) < 108 and rest != "@":
            return Address("unix", path=rest)
        case "unix":
            raise ListenError(f"{text!r} needs a path of 1 to 107 bytes, as in unix:/run/app.sock")
        case "fd" if rest.isascii() and rest.isdigit() and len(rest) < 10:
            return Address("fd", fd=int(rest))
        case "fd":
            raise ListenError(f"{text!r} needs the number of an open descriptor, as in fd://3")
    raise ListenError(
        f"{text!r} has the unknown scheme {scheme!r}; tcp://, unix: and fd:// are served"
    )


def _tcp_address(text: str, rest: str) -> Address:
    match = _HOST_PORT.fullmatch(rest)
    if not match:
        raise ListenError(f"{text!r} is no address; HOST:PORT, :PORT, [::1]:PORT or unix:PATH is")
    port = int(match["port"])
    if port > 65535:
        raise ListenError(f"{text!r} has the port {port}; ports go from 0 to 65535")
    return Address("tcp", host=match["host"].strip("[]") or "0.0.0.0", port=port)


class Listener:
    """A bound, listening socket and the address it came from."""

    def __init__(self, sock: socket.socket, address: Address, *, owned: bool) -> None:
        self.socket = sock
        self.address = address
        self.owned = owned  #: bound by us; an adopted socket lives on with whoever gave it
        self._file = file_identity(Path(address.path)) if owned and address.is_file else None

    @property
    def is_tcp(self) -> bool:
        """Tell whether connections arrive over TCP."""
        return self.socket.family in (socket.AF_INET, socket.AF_INET6)

    @property
    def inode(self) -> int:
        """The socket's number in the kernel's tables."""
        return os.fstat(self.socket.fileno()).st_ino

    def queued(self) -> int | None:
        """Return how many connections wait to be accepted; None where the system cannot tell."""
        if sys.platform != "linux":
            return None
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
        """Let nothing more be established, while what is queued can still be accepted.

        TCP: a filter drops the segments that would open a connection, so their clients ask
        again and are refused once the socket is closed.  Unix: shutting down the reading side
        refuses new clients at once, and what is queued stays.  A socket that was handed to us
        is left alone: its owner keeps it open, and its queue is for whoever comes next.
        """
        if not self.owned or sys.platform != "linux":
            return
        if self.is_tcp:
            code = b"".join(struct.pack("HBBI", *instruction) for instruction in _DROP_SYN)
            program = ctypes.create_string_buffer(code)
            option = struct.pack("HL", len(_DROP_SYN), ctypes.addressof(program))
            self.socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, option)
        else:
            self.socket.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Close our copy; remove the path of a Unix socket that we bound."""
        path = Path(self.address.path)
        # Only if it is still ours: a successor may already have put its own there.
        if self._file is not None and file_identity(path) == self._file:
            path.unlink()
        self.socket.close()


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


def _opened(address: Address, backlog: int) -> Listener:
    try:
        match address.scheme:
            case "tcp":
                return _bound_tcp(address, backlog)
            case "unix":
                return _bound_unix(address, backlog)
            case "fd":
                return _adopted(address)
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


def _bound_tcp(address: Address, backlog: int) -> Listener:
    family, _, _, _, where = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit it on Linux.  Without it a handler that answers in two
        # writes waits 40 ms for the client's delayed acknowledgement.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            # So that 0.0.0.0 and [::] can be listened on side by side.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    host, port = sock.getsockname()[:2]
    return Listener(sock, Address("tcp", host=host, port=port), owned=True)


def _bound_unix(address: Address, backlog: int) -> Listener:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if address.is_file:
            remove_stale_socket(Path(address.path))
            sock.bind(address.path)
        else:
            sock.bind("\0" + address.path[1:])
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return Listener(sock, address, owned=True)


def remove_stale_socket(path: Path) -> None:
    """Remove the socket that a dead server has left at ``path``.

    Raises OSError when something else is there: a server that lives, or no socket at all.
    """
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "a file that is no socket is in the way")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A server whose backlog is full makes a non-blocking connect say EAGAIN: it lives.
        probe.setblocking(False)
        if probe.connect_ex(str(path)) != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    path.unlink()


def file_identity(path: Path) -> tuple[int, int] | None:
    """Return what tells the file at ``path`` from any other; None if there is none."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _adopted(address: Address) -> Listener:
    sock = socket.socket(fileno=os.dup(address.fd))
    try:
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ListenError(f"cannot listen on {address}: that socket is not listening")
        adopted = _address_of(sock)
    except BaseException:
        sock.close()
        raise
    # The original stays open for nobody: a worker would inherit it under two numbers.
    os.close(address.fd)
    return Listener(sock, adopted, owned=False)


def _address_of(sock: socket.socket) -> Address:
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        if isinstance(name, bytes):
            return Address("unix", path="@" + os.fsdecode(name[1:]))
        return Address("unix", path=name)
    return Address("tcp", host=name[0], port=name[1])
