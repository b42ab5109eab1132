"""Clients: one connection, many held ones, and a load that knows what became of each request."""

import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from rig.waiting import pause, until

PATIENCE = 15.0  #: seconds a client waits for anything


def connect(address: str, patience: float = PATIENCE) -> socket.socket:
    """Return a connection to ``address``, as it stands in log and status."""
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        client = socket.socket(socket.AF_UNIX)
        where: str | tuple[str, int] = "\0" + path[1:] if path.startswith("@") else path
    else:
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        client = socket.socket(socket.AF_INET6 if "[" in host else socket.AF_INET)
        where = (host.strip("[]"), int(port))
    client.settimeout(patience)
    try:
        client.connect(where)
    except BaseException:
        client.close()
        raise
    return client


def read_all(client: socket.socket) -> bytes:
    """Return everything until the server closes."""
    parts = []
    while data := client.recv(1 << 16):
        parts.append(data)
    return b"".join(parts)


def ask(address: str, message: bytes = b"", patience: float = PATIENCE) -> bytes:
    """Connect, send ``message``, say that it is all, and return all of the answer."""
    with connect(address, patience) as client:
        client.sendall(message)
        client.shutdown(socket.SHUT_WR)
        return read_all(client)


def read_line(client: socket.socket) -> bytes:
    """Return a line without its end; shorter when the connection ends."""
    line = b""
    while not line.endswith(b"\n"):
        byte = client.recv(1)
        if not byte:
            return line
        line += byte
    return line[:-1]


def reset(client: socket.socket) -> None:
    """Close so that the server sees a reset."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


class Held:
    """Connections that stay open; each has read the process id of its worker."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._open = ExitStack()
        self.clients: list[socket.socket] = []
        self.pids: list[int] = []

    def __enter__(self) -> "Held":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def add(self, count: int = 1, patience: float = PATIENCE) -> list[int]:
        """Connect ``count`` more, all at once; return the pids that serve them."""
        fresh = [self._open.enter_context(connect(self.address, patience)) for _ in range(count)]
        pids = [int(read_line(client)) for client in fresh]
        self.clients += fresh
        self.pids += pids
        return pids

    def release(self, count: int | None = None) -> None:
        """Close ``count`` of them, the oldest first; all, if it is not said."""
        count = len(self.clients) if count is None else count
        for client in self.clients[:count]:
            client.close()
        del self.clients[:count], self.pids[:count]


@dataclass
class Failure:
    """A request that was not answered."""

    error: str
    pid: int | None  #: the worker that had begun to answer, if one had


@dataclass
class Load:
    """Clients that ask again and again, a connection for each request.

    The server is one that answers with its process id in a line and then the message.
    """

    address: str
    clients: int = 8
    message: bytes = bytes(range(64))
    answered: Counter[int] = field(default_factory=Counter)  #: by pid
    refused: int = 0  #: not established: refused, or no answer to the handshake
    failures: list[Failure] = field(default_factory=list)  #: established, then not answered

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    @property
    def total(self) -> int:
        with self._lock:
            return self.answered.total()

    def __enter__(self) -> "Load":
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def more(self, count: int, limit: float = PATIENCE) -> None:
        """Return when ``count`` more requests have been answered."""
        goal = self.total + count
        until(lambda: self.total >= goal, limit, f"{count} more answers")

    def _ask_on(self) -> None:
        while not self._stop.is_set():
            try:
                client = connect(self.address)
            except OSError:
                with self._lock:
                    self.refused += 1
                pause(0.01)
                continue
            with client:
                self._converse(client)

    def _converse(self, client: socket.socket) -> None:
        answer = b""
        error = "incomplete"
        try:
            client.sendall(self.message)
            client.shutdown(socket.SHUT_WR)
            while data := client.recv(1 << 16):
                answer += data
        except OSError as problem:
            error = type(problem).__name__
        line, separator, rest = answer.partition(b"\n")
        with self._lock:
            if separator and rest == self.message:
                self.answered[int(line)] += 1
            else:
                pid = int(line) if separator else None
                self.failures.append(Failure(error if answer else f"{error}, empty", pid))


@contextmanager
def in_background(*actions: Callable[[], object]) -> Iterator[None]:
    """Run ``actions`` in threads of their own meanwhile; they must end by themselves."""
    threads = [threading.Thread(target=action) for action in actions]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()
