"""What a program prints, cut into lines for the log."""

import json
import os
from collections.abc import Iterator
from typing import Final

#: Bytes of a line; what is longer goes on in the next one.  With its fields, a line of the log
#: still fits into what a pipe takes in one piece.
LONGEST: Final = 3800

#: Bytes taken in one turn: a program that prints without end must not keep the arbiter from
#: everything else, and empty lines are the most costly.
AT_ONCE: Final = 4096


def pieces(line: str) -> Iterator[str]:
    """Yield ``line`` in pieces that are not too long as text of JSON, which has its escapes."""
    if len(json.dumps(line, ensure_ascii=False).encode("utf-8", "replace")) <= LONGEST:
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
            yield from (_text(part) for part in _parts(line))
        if len(self._rest) > LONGEST:
            *parts, self._rest = _parts(self._rest)
            yield from map(_text, parts)

    def end(self) -> Iterator[str]:
        """Yield what is left, a line without its end."""
        rest, self._rest = self._rest, b""
        if rest:
            yield _text(rest)


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
    return line.removesuffix(b"\r").decode("utf-8", "replace")


class Output:
    """The reading end of a program's standard output or standard error."""

    def __init__(self, stream: str, fd: int) -> None:
        self.stream = stream
        self.fd = fd
        self._cutter = Cutter()

    def read(self) -> list[str] | None:
        """Return the lines that have come, not all if they are many; None at the end."""
        try:
            data = os.read(self.fd, AT_ONCE)
        except BlockingIOError:
            return []
        return list(self._cutter.feed(data)) if data else None

    def last_words(self, most: int) -> Iterator[str]:
        """Yield what is left to read, ``most`` bytes of it; for a program that has ended.

        Others that it has left behind may hold the pipe open, and go on writing.
        """
        for _ in range(most // AT_ONCE):
            try:
                data = os.read(self.fd, AT_ONCE)
            except BlockingIOError:
                break
            if not data:
                break
            yield from self._cutter.feed(data)
        yield from self._cutter.end()

    def close(self) -> None:
        """Let go of our end; whoever still writes to the other meets with EPIPE."""
        os.close(self.fd)
