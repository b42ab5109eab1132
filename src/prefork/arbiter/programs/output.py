"""What a program prints, cut into lines for the log."""

from collections import deque
from collections.abc import Iterator
from typing import Final, Protocol

from prefork.logs.log import in_quotes

#: Bytes of a line; what is longer goes on in the next one.  With its fields, a line of the log
#: still fits into what a pipe takes in one piece.
LONGEST: Final = 3800

#: Bytes taken in one turn: a program that prints without end must not keep the arbiter from
#: everything else, and empty lines are the most costly.
AT_ONCE: Final = 4096


def pieces(line: str) -> Iterator[str]:
    """Yield ``line`` in pieces that are not too long with the escapes of the log."""
    if len(in_quotes(line).encode("utf-8", "replace")) <= LONGEST:
        yield line
    else:
        middle = len(line) // 2
        yield from pieces(line[:middle])
        yield from pieces(line[middle:])


class Cutter:
    """Cuts bytes into lines, keeping what is not yet complete."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield each line that ``data`` completes, without its end."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            yield from map(_text, _parts(line.removesuffix(b"\r")))
        if len(self._rest) > LONGEST:
            *parts, self._rest = _parts(self._rest)
            yield from map(_text, parts)

    def end(self) -> Iterator[str]:
        """Yield what is left, a line without its end."""
        rest, self._rest = self._rest, b""
        if rest:
            yield _text(rest.removesuffix(b"\r"))


def _parts(line: bytes) -> list[bytes]:
    """Return ``line`` in parts that are not too long, no character of UTF-8 cut in two."""
    parts = []
    while len(line) > LONGEST:
        end = LONGEST
        while end > LONGEST - 4 and line[end] & 0xC0 == 0x80:
            end -= 1
        parts.append(line[:end])
        line = line[end:]
    return [*parts, line]


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")


class Source(Protocol):
    """The reading end of a pipe, of the system at hand; it gives AT_ONCE bytes at most."""

    def read(self) -> bytes:
        """Return what has come, not all if it is much; nothing once no process writes any more.

        Raises BlockingIOError if nothing has come since.
        """

    def close(self) -> None:
        """Close it."""


class Output:
    """A program's standard output or standard error, as ``source`` brings it."""

    def __init__(self, stream: str, source: Source) -> None:
        self.stream = stream
        self.source = source
        self.is_open = True  #: more may come
        self.lines: deque[str] = deque()  #: read, but not yet in the log
        self._cutter = Cutter()

    def read(self) -> bool:
        """Read lines, not all if they are many; return whether anything was there."""
        try:
            data = self.source.read()
        except BlockingIOError:
            return False
        if data:
            self._take(self._cutter.feed(data))
        else:
            self.is_open = False
            self._take(self._cutter.end())
        return bool(data)

    def read_rest(self, most: int) -> None:
        """Read what is left, ``most`` bytes of it; for a program that has ended.

        Others that it has left behind may hold the pipe open, and go on writing.
        """
        for _ in range(most // AT_ONCE):
            if not self.read():
                break
        self._take(self._cutter.end())

    def _take(self, lines: Iterator[str]) -> None:
        for line in lines:
            self.lines.extend(pieces(line))

    def close(self) -> None:
        """Close it, whatever may still come."""
        self.source.close()
