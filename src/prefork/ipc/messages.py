"""Orders and messages between the arbiter and its children, to bytes and back.

A worker's channel is a stream.  Downwards go single bytes, which a signal handler can read
without parsing; upwards go JSON lines.  The mold's channel keeps record boundaries
(SOCK_SEQPACKET) and carries orders with descriptors attached.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from prefork.errors import ProtocolError

DRAIN: Final = b"D"  #: take no more, finish what you hold, exit
REOPEN: Final = b"R"  #: write to the log's new file, whose descriptor comes along


class Loaded(msgspec.Struct, tag="loaded", frozen=True):
    """The target is imported."""


class Ready(msgspec.Struct, tag="ready", frozen=True):
    """The sender counts as capacity from now on."""

    pid: int  #: a forked worker may be ready before its mold has announced it
    kind: str = ""  #: of the handler, once it is known
    capacity: int = 1  #: units that a worker of that kind can hold at once
    event_loop: bool = False  #: whether such a worker runs an event loop


class Failed(msgspec.Struct, tag="failed", frozen=True):
    """The target cannot be loaded; the sender exits."""

    pid: int
    reason: str  #: a sentence
    traceback: str = ""


class NotInherited(msgspec.Struct, tag="not inherited", frozen=True):
    """The sender's listeners came as something else than sockets; it waits for others (Windows)."""


class Unsafe(msgspec.Struct, tag="unsafe", frozen=True):
    """The mold has loaded the target, but forking it is not safe."""

    reason: str


class Forked(msgspec.Struct, tag="forked", frozen=True):
    """The mold has forked the worker that was ordered."""

    serial: int  #: of the order
    pid: int


class NotForked(msgspec.Struct, tag="not forked", frozen=True):
    """The system refused the mold a process."""

    serial: int  #: of the order
    reason: str


class MoldOrder(msgspec.Struct, frozen=True):
    """The arbiter's order to the mold; the worker's channel and dump file come attached."""

    slot: int
    generation: int
    serial: int  #: slots are used again, serials never


Message = Loaded | Ready | Failed | NotInherited | Unsafe | Forked | NotForked

_messages: Final[msgspec.json.Decoder[Message]] = msgspec.json.Decoder(Message)
_orders: Final = msgspec.json.Decoder(MoldOrder)


def encode(message: Message | MoldOrder) -> bytes:
    """Return ``message`` as a line."""
    return msgspec.json.encode(message) + b"\n"


def decode(line: bytes) -> Message:
    """Return the message in ``line``; raises ProtocolError when it is none."""
    try:
        return _messages.decode(line)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"{line!r} is not a message of a worker: {error}") from error


def decode_order(data: bytes) -> MoldOrder:
    """Return the order in ``data``; raises ProtocolError when it is none."""
    try:
        return _orders.decode(data)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"{data!r} is not an order of the arbiter: {error}") from error


class Lines:
    """Cuts a stream into lines, keeping what is not yet complete."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield each line that ``data`` completes, without its end."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        yield from lines


def arguments(words: Sequence[str]) -> dict[str, list[int]]:
    """Return the numbers after each ``--name`` on the command line of one of our processes.

    Raises ProtocolError when it is not one.
    """
    found: dict[str, list[int]] = {}
    for name, value in zip(words[::2], words[1::2], strict=True):
        if not name.startswith("--") or not value.lstrip("-").isdecimal():
            raise ProtocolError(f"{name} {value} is not an argument of this process")
        found.setdefault(name[2:], []).append(int(value))
    return found
