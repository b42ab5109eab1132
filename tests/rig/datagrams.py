"""Clients that speak in datagrams."""

import os
import socket
import threading
from collections import Counter
from dataclasses import dataclass, field

from rig.clients import PATIENCE
from rig.waiting import until


def connect_datagram(
    address: str, patience: float = PATIENCE, *, anonymous: bool = False
) -> socket.socket:
    """Return a socket that sends to ``address`` and hears only what comes from there."""
    scheme, _, rest = address.partition(":")
    if scheme == "unixgram":
        client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        if not anonymous:
            client.bind("")  # an abstract name that the kernel chooses
        where: str | tuple[str, int] = "\0" + rest[1:] if rest.startswith("@") else rest
    else:
        host, _, port = rest.removeprefix("//").rpartition(":")
        family = socket.AF_INET6 if "[" in host else socket.AF_INET
        client = socket.socket(family, socket.SOCK_DGRAM)
        where = (host.strip("[]"), int(port))
    client.settimeout(patience)
    try:
        client.connect(where)
    except BaseException:
        client.close()
        raise
    return client


def ask_datagram(address: str, message: bytes = b"", patience: float = PATIENCE) -> bytes:
    """Send ``message`` and return the answer."""
    with connect_datagram(address, patience) as client:
        client.send(message)
        return client.recv(1 << 16)


@dataclass
class DatagramLoad:
    """Clients that send numbered datagrams, each the next one when the last was answered or lost.

    So no more than ``clients`` of them are on their way, and no buffer overflows.  The server is
    one that answers with its process id and the message.  Nothing is sent a second time.
    """

    address: str
    clients: int = 6
    patience: float = 1.0  #: after that an answer counts as lost
    answered: Counter[int] = field(default_factory=Counter)  #: by pid
    sent: list[bytes] = field(default_factory=list)  #: without those that were refused
    lost: list[bytes] = field(default_factory=list)
    refused: int = 0  #: the system said that nobody is there
    wrong: list[bytes] = field(default_factory=list)  #: answers to nothing that was asked

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    @property
    def total(self) -> int:
        with self._lock:
            return self.answered.total()

    def __enter__(self) -> "DatagramLoad":
        self._threads = [
            threading.Thread(target=self._ask_on, args=(number,)) for number in range(self.clients)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def more(self, count: int, limit: float = PATIENCE) -> None:
        """Return when ``count`` more datagrams have been answered."""
        goal = self.total + count
        until(lambda: self.total >= goal, limit, f"{count} more answers")

    def _ask_on(self, client: int) -> None:
        with connect_datagram(self.address, self.patience) as sock:
            number = 0
            while not self._stop.is_set():
                message = b"%d.%d.%d" % (os.getpid(), client, number)
                number += 1
                try:
                    sock.send(message)
                    with self._lock:
                        self.sent.append(message)
                    self._receive(sock, message)
                except (ConnectionRefusedError, FileNotFoundError):
                    with self._lock:
                        self.refused += 1
                        if message in self.sent:  # told only when the answer was waited for
                            self.sent.remove(message)
                    return

    def _receive(self, sock: socket.socket, message: bytes) -> None:
        while True:
            try:
                answer = sock.recv(1 << 16)
            except TimeoutError:
                with self._lock:
                    self.lost.append(message)
                return
            pid, _, echoed = answer.partition(b" ")
            with self._lock:
                if echoed == message:
                    self.answered[int(pid)] += 1
                    return
                if echoed not in self.lost:
                    self.wrong.append(answer)
                else:  # late, after all
                    self.lost.remove(echoed)
                    self.answered[int(pid)] += 1
