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
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from prefork.control import system
from prefork.errors import ControlError
from prefork.ipc.messages import Lines

if TYPE_CHECKING:
    from prefork.control.token import Secret

Reply = Callable[[dict[str, Any]], None]
Handle = Callable[[bytes, Reply], None]

REQUEST_LIMIT: Final = 64 * 1024  #: bytes of a request
REPLY_LIMIT: Final = 64 * 1024 * 1024  #: bytes that may wait for a slow client
GREETING_LIMIT: Final = 512  #: bytes of the line with the token
CLIENTS_LIMIT: Final = 32  #: operators; and as many clients that have not sent the token yet


class Endpoint(Protocol):
    """Where operators connect."""

    @property
    def address(self) -> str:
        """What operators connect to."""

    @property
    def listener(self) -> socket.socket:
        """Listens, and does not block."""

    @property
    def secret(self) -> "Secret | None":
        """What the first line of a client must hold; None where the system reports its user."""

    def admits(self, connection: socket.socket) -> bool:
        """Return whether the client may send anything at all."""

    def close(self) -> None:
        """Stop listening, and leave nothing behind."""


class ControlServer:
    """Accepts operators and passes their requests to ``handle(line, reply)``."""

    def __init__(
        self,
        address: str,
        selector: selectors.BaseSelector,
        handle: Handle,
        secret: Path | None = None,
    ) -> None:
        """Listen on ``address``: ``unix:PATH``, ``unix:@NAME`` or ``tcp://127.0.0.1:PORT``.

        ``secret`` is the file to keep the token in that TCP needs.  Raises OSError.
        """
        self._endpoint = _opened(address, secret)
        self.address = self._endpoint.address  #: with the port that 0 has become
        self._selector = selector
        self._handle = handle
        self._clients: dict[Client, None] = {}  # in the order of their arrival
        # Given up for an operator when there is no other descriptor left: that is when one
        # is needed most.
        try:
            self._reserve = system.reserve(self._endpoint.listener)
        except OSError:
            self._endpoint.close()
            raise
        selector.register(self._endpoint.listener, selectors.EVENT_READ, self._accept)
        self._accepting = True

    def close(self) -> None:
        """Drop every client, and remove the socket."""
        for client in tuple(self._clients):
            client.close()
        self._pause()
        if self._reserve is not None:
            os.close(self._reserve)
        self._endpoint.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._endpoint.listener.accept()
        except (BlockingIOError, ConnectionError):  # no client, or none any more
            return
        except OSError:
            self._make_room()
            return
        if not self._endpoint.admits(connection):
            connection.close()
            return
        secret = self._endpoint.secret
        self._drop_one_of_many(known=secret is None)
        client = Client(connection, self._selector, self, secret)
        self._clients[client] = None

    def answer(self, line: bytes, client: "Client") -> None:
        """Have a request of ``client`` handled."""
        try:
            self._handle(line, lambda result: client.reply({"ok": True, "result": result}))
        except ControlError as error:
            client.reply({"ok": False, "error": str(error)})

    def welcome(self) -> None:
        """Make room for a connection that has turned out to be an operator's."""
        self._drop_one_of_many(known=True)

    def forget(self, client: "Client") -> None:
        """Take what ``client``, which is closed, has left free."""
        self._clients.pop(client, None)
        with contextlib.suppress(OSError):
            if self._reserve is None:
                self._reserve = system.reserve(self._endpoint.listener)
        if not self._accepting:
            self._selector.register(self._endpoint.listener, selectors.EVENT_READ, self._accept)
            self._accepting = True

    def _drop_one_of_many(self, *, known: bool) -> None:
        """Drop the first of the operators, or of the strangers, if there is no room for one more.

        It has been silent for longest, most likely.  However many strangers come, they drive out
        only one another.
        """
        same = [client for client in self._clients if client.is_known == known]
        if len(same) >= CLIENTS_LIMIT:
            same[0].close()

    def _make_room(self) -> None:
        """Find a descriptor for the operator who waits; without one, wait for a client to go.

        A stranger's is given up first, then the reserve.
        """
        stranger = next((client for client in self._clients if not client.is_known), None)
        if stranger is not None:
            stranger.serve()  # its token may be here already
            if not stranger.is_known:
                stranger.close()
        elif self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None
        elif self._clients:
            self._pause()

    def _pause(self) -> None:
        if self._accepting:
            self._selector.unregister(self._endpoint.listener)
            self._accepting = False


class Client:
    """An operator's connection; not to be trusted until it has sent the secret, if there is one."""

    def __init__(
        self,
        connection: socket.socket,
        selector: selectors.BaseSelector,
        server: ControlServer,
        secret: "Secret | None",
    ) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._selector = selector
        self._server = server
        self._secret = secret  # None once it has been sent
        self._lines = Lines()
        self._received = 0
        self._unsent = b""
        self._closed = False
        selector.register(connection, selectors.EVENT_READ, self.serve)

    @property
    def is_known(self) -> bool:
        """Whether this is an operator for certain."""
        return self._secret is None

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
            self._server.forget(self)

    def serve(self) -> None:
        """Take what has come, and send what has not gone, as far as that goes now."""
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
            self._hear(line)
            if self._closed:
                return
        if self._received > (REQUEST_LIMIT if self.is_known else GREETING_LIMIT):
            self.close()

    def _hear(self, line: bytes) -> None:
        if self._secret is None:
            self._server.answer(line, self)
        elif len(line) <= GREETING_LIMIT and self._secret.is_in(line):
            self._server.welcome()
            self._secret = None
        else:
            self.close()  # without an answer, so that a stranger learns nothing

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
        self._selector.modify(self._connection, wanted, self.serve)


def _opened(address: str, secret: Path | None) -> Endpoint:
    if address.startswith("unix:"):
        return system.unix_endpoint(address, CLIENTS_LIMIT)
    # Brings OpenSSL along: 4 MB that no Unix socket needs.
    from prefork.control.loopback import LoopbackEndpoint

    return LoopbackEndpoint(address, secret, CLIENTS_LIMIT)
