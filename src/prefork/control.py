"""The control socket: operators' requests, one JSON object a line each way.

Knows nothing of what the requests mean.  Lives in the arbiter's loop and never blocks: what a
client does not read waits in memory, up to a limit, and then the client is dropped.
"""

import contextlib
import errno
import os
import selectors
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from prefork.errors import ControlError
from prefork.wire import Lines

Reply = Callable[[dict[str, Any]], None]

REQUEST_LIMIT: Final = 64 * 1024  #: bytes of a request
REPLY_LIMIT: Final = 64 * 1024 * 1024  #: bytes that may wait for a slow client
CLIENTS_LIMIT: Final = 32


class ControlServer:
    """Accepts operators and passes their requests to ``handle(request, reply)``."""

    def __init__(
        self,
        address: str,
        selector: selectors.BaseSelector,
        handle: Callable[[dict[str, Any], Reply], None],
    ) -> None:
        """Listen on ``address``, ``unix:PATH`` or ``unix:@NAME``; raises OSError."""
        self.address = address
        self._path = address.removeprefix("unix:")
        self._selector = selector
        self._handle = handle
        self._clients: set[Client] = set()
        self._socket = _listen(self._path)
        selector.register(self._socket, selectors.EVENT_READ, self._accept)

    def close(self) -> None:
        """Drop every client, and remove the socket."""
        for client in tuple(self._clients):
            client.close()
        self._selector.unregister(self._socket)
        self._socket.close()
        if not self._path.startswith("@"):
            Path(self._path).unlink(missing_ok=True)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._socket.accept()
            if len(self._clients) >= CLIENTS_LIMIT or not _may_operate(connection):
                connection.close()
                return
            client = Client(connection, self._selector, self._handle, self._clients.discard)
            self._clients.add(client)


class Client:
    """An operator's connection."""

    def __init__(
        self,
        connection: socket.socket,
        selector: selectors.BaseSelector,
        handle: Callable[[dict[str, Any], Reply], None],
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
            request = msgspec.json.decode(line, type=dict[str, Any])
            self._handle(request, lambda result: self.reply({"ok": True, "result": result}))
        except msgspec.MsgspecError as error:
            self.reply({"ok": False, "error": f"the request is not a JSON object: {error}"})
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
    former = os.umask(0o177)
    try:
        listener.bind(path)
    except OSError:
        if not _is_dead(path):
            raise
        Path(path).unlink()
        listener.bind(path)
    finally:
        os.umask(former)


def _is_dead(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a server that lives, but is stopped, takes no connection
        return probe.connect_ex(path) == errno.ECONNREFUSED


def _may_operate(connection: socket.socket) -> bool:
    """Tell whether the client is our user or root; an abstract name has no permissions."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # then the file's permissions have been checked by the system
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    uid = int.from_bytes(credentials[4:8], "little")
    return uid in (0, os.geteuid())
