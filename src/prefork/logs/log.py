"""The log: one event a line on standard error, as text or as JSON.

The events and their fields are the story of the pool and a part of the interface: people
search them and tests read them.  A line is written by one system call, so the lines of many
processes never mix.
"""

import json
import re
import threading
import time
import traceback
from collections import deque
from functools import lru_cache
from typing import Final

from prefork.logs.writer import Writer

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}

#: Lines kept while standard error takes none; older ones are given up for newer ones.
PENDING_LIMIT: Final = 1000

STDERR: Final = 2

#: What needs no quotes in a line of text.
_PLAIN: Final = re.compile(r"""[^\s"'=\x00-\x1f\x7f-\xa0]+""")
#: What a terminal may take for a command, and JSON leaves as it is.
_CONTROLS: Final = re.compile(r"[\x7f-\x9f]")
_json: Final = json.JSONEncoder(ensure_ascii=False, default=str).encode


class Log:
    """Writes events to a descriptor, and never waits for it.

    A full pipe behind standard error must neither stop the supervision nor make a worker look
    hung.  Lines then wait in memory and follow when there is room again.
    """

    def __init__(self, level: str = "info", *, as_json: bool = False, fd: int = STDERR) -> None:
        self.threshold = LEVELS[level]
        self.as_json = as_json
        self.fd = fd
        self.lost = 0  #: lines given up since the descriptor last took one
        self._pending: deque[bytes] = deque()
        # The same thread may come back: a signal's handler may log.
        self._lock = threading.RLock()
        self._writer = Writer(fd)

    @property
    def pending(self) -> int:
        """How many lines wait for their reader."""
        return len(self._pending) + self._writer.waiting

    def enabled(self, level: str) -> bool:
        """Return whether events of ``level`` are written at all."""
        return LEVELS[level] >= self.threshold

    def debug(self, event: str, **fields: object) -> None:
        """Record a detail that only a developer of prefork asks for."""
        self._record("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Record something that happened in the ordinary life of the pool."""
        self._record("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Record something an operator should look at some time."""
        self._record("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Record something an operator should look at now."""
        self._record("error", event, fields)

    def exception(self, event: str, error: BaseException, **fields: object) -> None:
        """Record an exception of the user's code with its traceback."""
        text = "".join(traceback.format_exception(error)).rstrip()
        try:
            shown = repr(error)
        except Exception as second:  # noqa: BLE001 (the user's code once more)
            shown = f"{type(error).__name__} (its repr raised {type(second).__name__})"
        self._record("error", event, {**fields, "error": shown, "traceback": text})

    def reopen(self) -> None:
        """Open the log's file anew, for a rotation that moved it; pipes and terminals stay."""
        try:
            self._writer.reopen()
        except OSError as error:
            self.warning("log not reopened", path=error.filename, reason=error.strerror)

    def write_to(self, fd: int) -> None:
        """Write to the file ``fd``, which is taken over, from now on."""
        self._writer.write_to(fd)

    def _record(self, level: str, event: str, fields: dict[str, object]) -> None:
        if LEVELS[level] < self.threshold:
            return
        with self._lock:
            self._pending.append(self._line(level, event, fields))
            if len(self._pending) > PENDING_LIMIT:
                self._pending.popleft()
                self.lost += 1
            self.flush()

    def flush(self) -> None:
        """Write the waiting lines, as far as the descriptor takes them without blocking."""
        with self._lock:
            self._flush()

    def finish(self, limit: float) -> None:
        """Write the waiting lines as their reader makes room, for ``limit`` seconds at most.

        For the end of a process, when there is nothing else left to do.
        """
        end = time.monotonic() + limit
        self.flush()
        while self.pending and (patience := end - time.monotonic()) > 0:
            self._writer.wait(patience)
            self.flush()

    def _flush(self) -> None:
        try:
            while self._pending and self._writer.takes():
                if self.lost:
                    self._writer.write(
                        self._formatted("warning", "log lines lost", {"count": self.lost})
                    )
                    self.lost = 0
                self._writer.write(self._pending[0])
                self._pending.popleft()
        except BlockingIOError:
            return  # another process was faster to fill it
        except OSError:
            # There is no reader any more, or the disk is full: nothing can be reported, and
            # nothing to wait for.
            self.lost += len(self._pending)
            self._pending.clear()

    def _line(self, level: str, event: str, fields: dict[str, object]) -> bytes:
        """Return the line, on a pipe no longer than what can be written in one piece.

        Longer ones would mix with those of other processes.  What is too long, a traceback in
        practice, is cut in its middle.
        """
        data = self._formatted(level, event, fields)
        fields = dict(fields)
        while (most := self._writer.longest) is not None and len(data) > most:
            longest = max(fields, key=lambda name: len(str(fields[name])))
            text = str(fields[longest])
            keep = max(len(text) * most // len(data) // 2 - 50, 1)
            fields[longest] = f"{text[:keep]} [...] {text[len(text) - keep :]}"
            data = self._formatted(level, event, fields)
        return data

    def _formatted(self, level: str, event: str, fields: dict[str, object]) -> bytes:
        line = to_json(level, event, fields) if self.as_json else to_text(level, event, fields)
        return line.encode("utf-8", "backslashreplace")


def to_text(level: str, event: str, fields: dict[str, object]) -> str:
    """Return ``time level event key=value …`` as a line; a traceback follows on its own lines."""
    shown = [f"{key}={_quoted(value)}" for key, value in fields.items() if key != "traceback"]
    line = " ".join([timestamp(), level, event, *shown]) + "\n"
    if "traceback" in fields:
        line += "".join(f"    {row}\n" for row in str(fields["traceback"]).splitlines())
    return line


def to_json(level: str, event: str, fields: dict[str, object]) -> str:
    """Return the same as one JSON object a line."""
    return _json({"time": timestamp(), "level": level, "event": event, **fields}) + "\n"


def timestamp() -> str:
    """Return the time of day as ISO 8601 in UTC with milliseconds."""
    milliseconds = time.time_ns() // 1_000_000
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=1)
def _second(since_epoch: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since_epoch))


def _quoted(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    text = str(value)
    return text if _PLAIN.fullmatch(text) else in_quotes(text)


def in_quotes(text: str) -> str:
    """Return ``text`` as it stands in a line of text if it is not plain; in JSON it is shorter."""
    return _CONTROLS.sub(_escaped, _json(text))


def _escaped(character: "re.Match[str]") -> str:
    return f"\\u{ord(character[0]):04x}"


def current() -> Log:
    """Return the log of this process."""
    return _current


def use(log: Log) -> None:
    """Make ``log`` the log of this process."""
    global _current
    _current = log


# One for each process, as its standard error is.
_current = Log()
