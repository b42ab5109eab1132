"""Which settings an operating system cannot offer, and what to use instead."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from prefork.kinds.event_loop.choice import SELECTABLE
from prefork.settings.sentences import UNSAID, sentence
from prefork.settings.sources import Layer, Surroundings

#: select() takes 512 sockets on Windows, of which the arbiter needs some for itself, and for
#: operators.
MOST_ON_WINDOWS: Final = 400

#: The converted values of the settings that are right by themselves.
Values = Mapping[str, Any]
#: The setting, which of its values are not possible, and what would be.
_Rule = tuple[str, Callable[[Any], bool], str]


def _any(_: Any) -> bool:
    return True


def _is_0(value: float) -> bool:
    return value == 0


def _any_but_0(value: float) -> bool:
    return value != 0


def _too_many(workers: tuple[int, int]) -> bool:
    return workers[1] > MOST_ON_WINDOWS


def _one_of(*words: str) -> Callable[[str], bool]:
    return lambda value: value in words


def _begins(*starts: str) -> Callable[[str], bool]:
    return lambda value: value.startswith(starts)


_ACCOUNT: Final = (
    "on Windows the workers run with the account of prefork; start prefork with the account that "
    "they should have"
)
_ON_WINDOWS: Final[tuple[_Rule, ...]] = (
    ("user", _any, _ACCOUNT),
    ("group", _any, _ACCOUNT),
    ("umask", _any, "Windows has none; a file inherits the permissions of its directory"),
    (
        "nice",
        _any_but_0,
        "Windows has priority classes instead; start /belownormal prefork … sets a lower one, for "
        "the workers as well",
    ),
    ("start", _one_of("fork"), "Windows cannot fork a process; auto and spawn are possible"),
    (
        "accept",
        _one_of("blocking", "exclusive"),
        "on Windows the workers take turns by an accept mutex; auto and mutex are possible",
    ),
    (
        "accept-mutex",
        _any,
        "on Windows the accept mutex is always a Windows mutex; leave this out, and set "
        "accept-mutex-name if other programs share it",
    ),
    (
        "bind",
        _begins("unix:", "unixgram:"),
        "Unix sockets are not served on Windows; use tcp:// or udp://, as in tcp://127.0.0.1:8000, "
        "which other machines cannot reach either",
    ),
    ("control", _begins("unix:"), "on Windows it must be auto, off or tcp://127.0.0.1:PORT"),
    (
        "loop",
        _one_of("uvloop"),
        "there is no uvloop for Windows; auto, asyncio, proactor and selector are possible",
    ),
    (
        "stop-signal",
        _any,
        "Windows has no signals; a program is stopped by Ctrl-Break",
    ),
    (
        "ready-after",
        _is_0,
        "on Windows a program cannot send READY=1; it counts as ready after a time",
    ),
    (
        "workers",
        _too_many,
        f"on Windows there can be at most {MOST_ON_WINDOWS}: each has a socket to the arbiter, "
        "which can wait for 512 there",
    ),
)
_ELSEWHERE: Final[tuple[_Rule, ...]] = (
    (
        "accept-mutex-name",
        _any,
        "mutexes have names only on Windows; the locks of accept-mutex, flock and fcntl, have none",
    ),
    (
        "control",
        _begins("tcp:"),
        "this is for Windows; here use auto, off or a unix: address",
    ),
    (
        "loop",
        _one_of("proactor", "selector"),
        "this loop is for Windows; auto, asyncio and uvloop are possible here",
    ),
)


def is_offered(name: str, platform: str) -> bool:
    """Return whether ``platform`` has the setting ``name`` at all, whatever its value."""
    rules = _ON_WINDOWS if platform == "win32" else _ELSEWHERE
    return not any(name == refused and is_unfit is _any for refused, is_unfit, _ in rules)


def unfit(values: Values, given: Layer, surroundings: Surroundings) -> Iterator[str]:
    """Yield a sentence for each setting that the operating system does not support.

    A value that the user has not set is never unfit: each system has its own default.
    """
    for name, is_unfit, right in _ON_WINDOWS if surroundings.is_windows else _ELSEWHERE:
        if given[name].source in UNSAID or name not in values:
            continue
        value = values[name]
        if isinstance(value, tuple) and name == "bind":
            shown = [each for each in value if is_unfit(each)]
        else:
            shown = [given[name].texts[-1]] if value is not None and is_unfit(value) else []
        for text in shown:
            yield sentence(name, text, given[name], right)
    yield from _too_many_selected(values, given, surroundings)


def _too_many_selected(values: Values, given: Layer, surroundings: Surroundings) -> Iterator[str]:
    held = values.get("concurrency", 0)
    if surroundings.is_windows and values.get("loop") == "selector" and held > SELECTABLE:
        yield sentence(
            "concurrency",
            given["concurrency"].texts[-1],
            given["concurrency"],
            f"loop = selector ({given['loop'].source}) holds at most {SELECTABLE} connections; "
            "loop = proactor holds any number",
        )
