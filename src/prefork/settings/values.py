"""The forms a setting's text can have, and what each becomes.  Knows no setting and no source.

A converter raises ValueError for a text that it does not accept; the sentence for the user is
made where setting and source are known.
"""

import math
import re
from collections.abc import Callable
from typing import Any, Final

#: For how many there is room on a scoreboard.
MOST_WORKERS: Final = 2048

_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})(ms|s|m|h|d)?", re.ASCII)
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}
_LONGEST: Final = 365 * 86400.0

_INTEGER: Final = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_RANGE: Final = re.compile(r"(\d{1,9})(?:\.\.(\d{1,9}))?", re.ASCII)


class Form:
    """How the values of a setting are written."""

    # Not a dataclass, which takes forty times as long to define.
    def __init__(
        self,
        convert: Callable[[str], Any],
        allowed: str | Callable[[], str],
        metavar: str | Callable[[], str],
        show: Callable[[Any], str] = str,
    ) -> None:
        """Take texts that are made when they are asked for, or the texts themselves."""
        self.convert = convert  #: raises ValueError
        self.show = show  #: the value as text again
        self._allowed = allowed
        self._metavar = metavar

    @property
    def allowed(self) -> str:
        """The end of the sentence ``… cannot be …: …``."""
        return self._allowed if isinstance(self._allowed, str) else self._allowed()

    @property
    def metavar(self) -> str:
        """What stands for the value in a usage line."""
        return self._metavar if isinstance(self._metavar, str) else self._metavar()


def duration(lowest: float = 0.0, *, zero: str = "") -> Form:
    """Return the form of a time span in seconds; ``zero`` explains what 0 means."""
    least = f"at least {lowest:g}" if lowest else f"0{f' ({zero})' if zero else ''} or more"

    def convert(text: str) -> float:
        match = _DURATION.fullmatch(text)
        if not match:
            raise ValueError
        return _within(float(match[1]) * _SECONDS[match[2]], lowest, _LONGEST)

    return Form(
        convert,
        f"it must be a time in seconds, {least}, as in 30, 0.5, 500ms, 2m, 1h",
        "SECONDS",
        lambda value: f"{value:g}",
    )


def whole(lowest: int, highest: int) -> Form:
    """Return the form of a whole number from ``lowest`` to ``highest``."""

    def convert(text: str) -> int:
        if not _INTEGER.fullmatch(text):
            raise ValueError
        return int(_within(int(text), lowest, highest))

    return Form(convert, f"it must be a whole number from {lowest} to {highest}", "N")


def choice(*words: str) -> Form:
    """Return the form of one word out of ``words``."""

    def convert(text: str) -> str:
        if text.lower() not in words:
            raise ValueError
        return text.lower()

    return Form(convert, f"it must be one of {', '.join(words)}", "|".join(words))


def matching(pattern: str, allowed: str, metavar: str) -> Form:
    """Return the form of a text that matches ``pattern`` as a whole."""

    def convert(text: str) -> str:
        if not re.fullmatch(pattern, text, re.DOTALL):
            raise ValueError
        return text

    return Form(convert, allowed, metavar)


def _workers(text: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(text)
    if not match:
        raise ValueError
    maximum = int(match[2] or match[1])
    minimum = int(match[1])
    _within(maximum, max(minimum, 1), MOST_WORKERS)
    return minimum, maximum


def _shown_workers(limits: tuple[int, int]) -> str:
    minimum, maximum = limits
    return str(minimum) if minimum == maximum else f"{minimum}..{maximum}"


def _octal(text: str) -> int:
    if not re.fullmatch(r"(0o)?[0-7]{1,4}", text):
        raise ValueError
    return int(_within(int(text, 8), 0, 0o777))


def _yes(text: str) -> bool:
    words = {
        "true": True,
        "yes": True,
        "on": True,
        "1": True,
        "false": False,
        "no": False,
        "off": False,
        "0": False,
    }
    if text.lower() not in words:
        raise ValueError
    return words[text.lower()]


def _within(value: float, lowest: float, highest: float) -> float:
    # Also refuses NaN: every comparison with it is false.
    if not lowest <= value <= highest or not math.isfinite(value):
        raise ValueError
    return value


#: Becomes (minimum, maximum).  ``auto`` is replaced before, where the CPUs are known.
WORKERS: Final = Form(
    _workers,
    f"it must be N, MIN..MAX (MIN not above MAX, MAX from 1 to {MOST_WORKERS}) or auto",
    "N|MIN..MAX",
    _shown_workers,
)
OCTAL: Final = Form(
    _octal, "it must be an octal number as text, from 0 to 777, as in 022", "OCTAL", "{:03o}".format
)
FLAG: Final = Form(_yes, "it must be true or false", "", lambda value: str(value).lower())
