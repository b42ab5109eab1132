"""What a program reports of itself, from bytes: the words of sd_notify(3), and our BUSY=n.

Knows no socket, no process and no clock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

#: More than any clock needs, and still a number of seconds.
_MOST_MICROSECONDS: Final = 2**64 - 1
#: As many as ``concurrency`` can be.
_MOST_UNITS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one notification reports; what it does not mention is None."""

    ready: bool | None = None  #: READY=1
    stopping: bool | None = None  #: STOPPING=1
    alive: bool | None = None  #: WATCHDOG=1, or, if False, WATCHDOG=trigger
    period: float | None = None  #: WATCHDOG_USEC, in seconds; 0 is "do not watch"
    extension: float | None = None  #: EXTEND_TIMEOUT_USEC, in seconds
    units: int | None = None  #: BUSY
    status: str | None = None  #: STATUS
    wrong: tuple[str, ...] = ()  #: what makes no sense, for the log


def parse(data: bytes) -> Report:
    """Return what ``data`` reports; of a word that is there twice the last counts.

    Words of sd_notify(3) that mean nothing here, such as MAINPID, are passed over.
    """
    found: dict[str, Any] = {}
    wrong: list[str] = []
    for line in data.decode("utf-8", "replace").split("\n"):
        name, separator, value = line.partition("=")
        field, form = _WORDS.get(name, ("", None))
        try:
            if form is not None:
                found[field] = form(value)
            elif line and not separator:
                raise ValueError
        except ValueError:
            wrong.append(_printable(line)[:80])
    return Report(**found, wrong=tuple(wrong))


def _yes(text: str) -> bool:
    if text != "1":
        raise ValueError
    return True


def _alive(text: str) -> bool:
    return {"1": True, "trigger": False}[text] if text in ("1", "trigger") else _yes(text)


def _seconds(text: str) -> float:
    return _whole(text, _MOST_MICROSECONDS) / 1e6


def _units(text: str) -> int:
    return _whole(text, _MOST_UNITS)


def _whole(text: str, most: int) -> int:
    # The length first: int() refuses thousands of digits.
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) <= most):
        raise ValueError
    return int(text)


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


_WORDS: Final[dict[str, tuple[str, Callable[[str], object]]]] = {
    "READY": ("ready", _yes),
    "STOPPING": ("stopping", _yes),
    "WATCHDOG": ("alive", _alive),
    "WATCHDOG_USEC": ("period", _seconds),
    "EXTEND_TIMEOUT_USEC": ("extension", _seconds),
    "BUSY": ("units", _units),
    "STATUS": ("status", _printable),
}
