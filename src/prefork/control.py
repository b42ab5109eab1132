"""The control socket: operators' requests, one JSON object a line each way.

Knows nothing of what the requests mean.  Lives in the arbiter's loop and never blocks: what a
client does not read waits in memory, up to a limit, and then the client is dropped.
"""

import contextlib
import os
import selectors
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from prefork.binding import remove_stale_socket
from prefork.errors import ControlError
from prefork.listeners import file_identity
from prefork.wire import Lines

Reply = Callable[[dict[str, Any]], None]
Handle = Callable[[bytes, Reply], None]

REQUEST_LIMIT: Final = 64 * 1024  #: bytes of a request
REPLY_LIMIT: Final = 64 * 1024 * 1024  #: bytes that may wait for a slow client
CLIENTS_LIMIT: Final = 32


class ControlServer:
    """Accepts operators and passes their requests to ``handle(line, reply)``."""

    def __init__(
        self,
        address: str,
        selector: selectors.BaseSelector,
        handle: Handle,
    ) -> None:
        """Listen on ``address``, ``unix:PATH`` or ``unix:@NAME``; raises OSError."""
        self.address = address
        self._path = address.removeprefix("unix:")
        self._selector = selector
        self._handle = handle
        self._clients: dict[Client, None] = {}  # in the order of their arrival
        self._socket = _listen(self._path)
        self._file = None if self._path.startswith("@") else file_identity(Path(self._path))
        # Given up for an operator when there is no other descriptor left: that is when one
        # is needed most.
        self._reserve: int | None = os.dup(self._socket.fileno())
        selector.register(self._socket, selectors.EVENT_READ, self._accept)
        self._accepting = True

    def close(self) -> None:
        """Drop every client, and remove the socket."""
        for client in tuple(self._clients):
            client.close()
        self._pause()
        self._socket.close()
        if self._reserve is not None:
            os.close(self._reserve)
        path = Path(self._path)
        if self._file is not None and file_identity(path) == self._file:
            path.unlink()

    def _accept(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except BlockingIOError:
            return
        except OSError:
            self._make_room()
            return
        if not _may_operate(connection):
            connection.close()
            return
        if len(self._clients) >= CLIENTS_LIMIT:
            next(iter(self._clients)).close()  # silent for longest, most likely
        client = Client(connection, self._selector, self._handle, self._forget)
        self._clients[client] = None

    def _make_room(self) -> None:
        """Give up the reserve for the operator who waits; without one, wait for a client to go."""
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None
        elif self._clients:
            self._pause()

    def _pause(self) -> None:
        if self._accepting:
            self._selector.unregister(self._socket)
            self._accepting = False

    def _forget(self, client: "Client") -> None:
        self._clients.pop(client, None)
        with contextlib.suppress(OSError):
            if self._reserve is None:
                self._reserve = os.dup(self._socket.fileno())
        if not self._accepting:
            self._selector.register(self._socket, selectors.EVENT_READ, self._accept)
            self._accepting = True


class Client:
    """An operator's connection."""

    def __init__(
        self,
        connection: socket.socket,
        selector: selectors.BaseSelector,
        handle: Handle,
        forget: Callable[["Client"], None],
    ) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._selector = selector
        self._handle = handle
        self._forget = forget
        self._lines = Lines()
        self._received = 0
        self._unsent = b""
        self._closed = False
        selector.register(connection, selectors.EVENT_READ, self._serve)

    def reply(self, answer: dict[str, Any]) -> None:
        """Send ``answer``, now or when the client reads."""
        if self._closed:
            return
        self._unsent += msgspec.json.encode(answer) + b"\n"
        self._send()

    def close(self) -> None:
        """Drop the connection."""
        if not self._closed:
            self._closed = True
            self._selector.unregister(self._connection)
            self._connection.close()
            self._forget(self)

    def _serve(self) -> None:
        if self._unsent:
            self._send()
        try:
            data = self._connection.recv(REQUEST_LIMIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._received += len(data)
        for line in self._lines.feed(data):
            self._received = 0
            self._answer(line)
        if self._received > REQUEST_LIMIT:
            self.close()

    def _answer(self, line: bytes) -> None:
        try:
            self._handle(line, lambda result: self.reply({"ok": True, "result": result}))
        except ControlError as error:
            self.reply({"ok": False, "error": str(error)})

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[self._connection.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if len(self._unsent) > REPLY_LIMIT:
            self.close()
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
        self._selector.modify(self._connection, wanted, self._serve)


def _listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.setblocking(False)
    try:
        if path.startswith("@"):
            listener.bind("\0" + path[1:])
        else:
            _bind_privately(listener, path)
        listener.listen(CLIENTS_LIMIT)
    except OSError:
        listener.close()
        raise
    return listener


def _bind_privately(listener: socket.socket, path: str) -> None:
    """Bind to ``path``, for its owner only from the first moment; replace a dead server's."""
    remove_stale_socket(Path(path))
    former = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(former)


def _may_operate(connection: socket.socket) -> bool:
    """Tell whether the client is our user or root; an abstract name has no permissions."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # then the file's permissions have been checked by the system
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    uid = int.from_bytes(credentials[4:8], "little")
    return uid in (0, os.geteuid())
