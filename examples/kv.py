"""A key-value server, of the kind protocol, that redis-cli and redis-benchmark can talk to.

KV_FILE=/tmp/kv.sqlite3 prefork serve examples/kv.py --bind 127.0.0.1:6379

The workers are processes and share no memory, so the data is in an SQLite file: all workers
see what one of them has stored, and a killed worker leaves no half-finished change.
The protocol is RESP2, https://redis.io/docs/latest/develop/reference/protocol-spec/.
"""

import asyncio
import fcntl
import functools
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, cast

LONGEST = 1 << 20  # bytes of a request

Request = list[bytes]
Answer = str | int | bytes | None | list[bytes | None]  # a text is a short word: OK, PONG


class RefusedError(Exception):
    """What a client asked for is not possible; the text is for it."""


class MalformedError(RefusedError):
    """What a client sent is no request, and nothing that follows it can be understood."""


# The connection


class KeyValue(asyncio.Protocol):
    """Is made anew for each connection."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with nothing received."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one by shape only
        self.received = bytearray()

    def data_received(self, data: bytes) -> None:
        """Answer all requests that are complete: many, if the client sends ahead."""
        self.received += data
        requests: list[Request] = []
        last = b""  # sent before the connection is closed
        try:
            while (request := next_request(self.received)) is not None:
                if request and request[0].upper() == b"QUIT":
                    last = encoded("OK")
                    break
                if request:
                    requests.append(request)
        except MalformedError as error:
            last = encoded(error)
        self.transport.write(answers(requests) + last)
        if last:
            self.transport.close()

    def pause_writing(self) -> None:
        """Read no more while the client does not read: its answers must not fill our memory."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on once it has read."""
        self.transport.resume_reading()


app = KeyValue


# The protocol


def next_request(received: bytearray) -> Request | None:
    """Take a request off ``received``; return None while it is not complete."""
    if received.startswith(b"*"):
        parts, end = _parts(received)
    else:  # a line of words, as people type it
        line, end = _line(received, 0)
        parts = None if line is None else line.split()
    if parts is not None:
        del received[:end]
    elif len(received) > LONGEST:
        raise MalformedError(f"Protocol error: a request is longer than {LONGEST} bytes")
    return parts


def _parts(received: bytearray) -> tuple[Request | None, int]:
    """Return the words of the request at the beginning, and where it ends."""
    parts: Request = []
    count, position = _length(received, 0, b"*")
    for _ in range(count or 0):
        length, start = _length(received, position, b"$")
        position = start + (length or 0) + 2  # the end of a line follows
        if length is None or len(received) < position:
            return None, 0
        parts.append(bytes(received[start : position - 2]))
    return (None if count is None else parts), position


def _length(received: bytearray, position: int, kind: bytes) -> tuple[int | None, int]:
    """Return the number in the line at ``position``, and where the next line begins."""
    line, following = _line(received, position)
    if line is None:
        return None, position
    if not re.fullmatch(rb"[*$]\d{1,9}", line) or not line.startswith(kind):
        raise MalformedError(f"Protocol error: expected {kind.decode()} and a length")
    return int(line[1:]), following


def _line(received: bytearray, position: int) -> tuple[bytes | None, int]:
    """Return the line at ``position``, None while it has no end, and where the next one begins."""
    end = received.find(b"\n", position)
    if end < 0:
        return None, position
    return bytes(received[position:end]).rstrip(b"\r"), end + 1


def encoded(answer: Answer | RefusedError) -> bytes:
    """Return ``answer`` as it goes over the wire."""
    match answer:
        case RefusedError():
            return f"-ERR {answer}\r\n".encode()
        case str():
            return f"+{answer}\r\n".encode()
        case int():
            return b":%d\r\n" % answer
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(answer), answer)
        case None:
            return b"$-1\r\n"
        case list():
            return b"*%d\r\n" % len(answer) + b"".join(map(encoded, answer))


# The data


class Database:
    """The file that the workers share, as one of them has opened it."""

    def __init__(self, path: str) -> None:
        # SQLite would poll while another worker writes; flock wakes the next worker, and the kernel
        # releases it when its holder dies.
        self._turn = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with self._alone():
            self._file = sqlite3.connect(path, isolation_level=None)
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = NORMAL")
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS pairs (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID"
            )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep the other workers from writing meanwhile; undo everything after an exception."""
        with self._alone(), self._file:
            self._file.execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def _alone(self) -> Iterator[None]:
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    def get(self, key: bytes) -> bytes | None:
        """Return the value of ``key``, None if it has none."""
        rows = self._file.execute("SELECT value FROM pairs WHERE key = ?", [key])
        return next((value for (value,) in rows), None)

    def set(self, key: bytes, value: bytes) -> None:
        """Store ``value``, whatever was there."""
        self._file.execute("INSERT OR REPLACE INTO pairs VALUES (?, ?)", [key, value])

    def delete(self, key: bytes) -> int:
        """Return how many keys were deleted: one or none."""
        return self._file.execute("DELETE FROM pairs WHERE key = ?", [key]).rowcount

    def size(self) -> int:
        """Return how many keys there are."""
        [[count]] = self._file.execute("SELECT count(*) FROM pairs")
        return int(count)


@functools.cache
def database() -> Database:
    """Open the file: once in each worker, for a connection of SQLite does not survive a fork."""
    return Database(os.environ.get("KV_FILE", "kv.sqlite3"))


# The commands


class Command(NamedTuple):
    """What the first word of a request asks for."""

    run: Callable[[Database, Request], Answer]
    least: int  # arguments
    most: int | None  # None is any number
    writes: bool = False


def answers(requests: list[Request]) -> bytes:
    """Carry ``requests`` out, in one transaction if any of them writes; return the answers."""
    try:
        if any(command.writes for request in requests if (command := _command(request))):
            with database().transaction():
                return b"".join(encoded(_result(request)) for request in requests)
        return b"".join(encoded(_result(request)) for request in requests)
    except sqlite3.Error as error:
        return encoded(RefusedError(f"storage: {error}")) * len(requests)


def _command(request: Request) -> Command | None:
    return COMMANDS.get(request[0].upper().decode("latin-1"))


def _result(request: Request) -> Answer | RefusedError:
    command = _command(request)
    name, arguments = request[0].decode("latin-1")[:40], request[1:]
    if command is None:
        return RefusedError(f"unknown command {name!r}")
    most = len(arguments) if command.most is None else command.most
    if not command.least <= len(arguments) <= most:
        return RefusedError(f"wrong number of arguments for {name.lower()!r} command")
    try:
        return command.run(database(), arguments)
    except RefusedError as error:
        return error


def _ping(_: Database, arguments: Request) -> Answer:
    return arguments[0] if arguments else "PONG"


def _set(data: Database, arguments: Request) -> Answer:
    data.set(*arguments)
    return "OK"


def _set_many(data: Database, arguments: Request) -> Answer:
    if len(arguments) % 2:
        raise RefusedError("wrong number of arguments for 'mset' command")
    for key, value in zip(arguments[::2], arguments[1::2], strict=True):
        data.set(key, value)
    return "OK"


def _add(data: Database, key: bytes, amount: bytes) -> Answer:
    before = data.get(key)
    result = (0 if before is None else _integer(before)) + _integer(amount)
    if not -(1 << 63) <= result < 1 << 63:
        raise RefusedError("increment or decrement would overflow")
    data.set(key, b"%d" % result)
    return result


def _integer(text: bytes) -> int:
    if not re.fullmatch(rb"-?\d{1,19}", text):
        raise RefusedError("value is not an integer or out of range")
    return int(text)


def _select(_: Database, arguments: Request) -> Answer:
    if arguments != [b"0"]:
        raise RefusedError("DB index is out of range")
    return "OK"


COMMANDS = {
    "PING": Command(_ping, 0, 1),
    "ECHO": Command(_ping, 1, 1),
    "SELECT": Command(_select, 1, 1),
    "GET": Command(lambda data, keys: data.get(keys[0]), 1, 1),
    "MGET": Command(lambda data, keys: [data.get(key) for key in keys], 1, None),
    "EXISTS": Command(lambda data, keys: sum(data.get(key) is not None for key in keys), 1, None),
    "DBSIZE": Command(lambda data, _: data.size(), 0, 0),
    "SET": Command(_set, 2, 2, writes=True),
    "MSET": Command(_set_many, 2, None, writes=True),
    "DEL": Command(lambda data, keys: sum(map(data.delete, keys)), 1, None, writes=True),
    "INCR": Command(lambda data, keys: _add(data, keys[0], b"1"), 1, 1, writes=True),
    "DECR": Command(lambda data, keys: _add(data, keys[0], b"-1"), 1, 1, writes=True),
    "INCRBY": Command(lambda data, words: _add(data, *words), 2, 2, writes=True),
    # What clients ask for by themselves: every setting is empty, and nothing is described.
    "CONFIG": Command(lambda data, words: [words[1], b""], 2, 2),
    "COMMAND": Command(lambda data, words: [], 0, None),
}
