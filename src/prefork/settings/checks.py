"""What must hold between settings, and between a setting and this machine."""

import os
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from prefork.kinds import kind_named
from prefork.settings.platforms import Values, unfit
from prefork.settings.sentences import sentence
from prefork.settings.sources import Layer, Surroundings

if sys.platform != "win32":
    import grp
    import pwd

#: One less than what 32 bits hold: setuid(2) takes that as "leave it".
_HIGHEST_ID: Final = 2**32 - 2


def contradictions(values: Values, given: Layer, surroundings: Surroundings) -> Iterator[str]:
    """Yield a sentence for each mistake that no single value shows."""
    yield from unfit(values, given, surroundings)
    yield from _twice_bound(values, given)
    yield from _blocking_on_several(values, given)
    yield from _kind_of_addresses(values, given)
    yield from _delays(values, given)
    yield from _accounts(values, given, surroundings)
    yield from _directory(values, given, surroundings)


def _twice_bound(values: Values, given: Layer) -> Iterator[str]:
    bound: tuple[str, ...] = values.get("bind", ())
    for address, count in Counter(bound).items():
        # Port 0 is a different port each time.
        if count > 1 and not (address.startswith(("tcp:", "udp:")) and address.endswith(":0")):
            yield sentence("bind", address, given["bind"], f"it is given {count} times")


def _blocking_on_several(values: Values, given: Layer) -> Iterator[str]:
    count = len(values.get("bind", ()))
    if values.get("accept") == "blocking" and count > 1:
        yield sentence(
            "accept",
            "blocking",
            given["accept"],
            f"a worker can block in accept on one address only, and there are {count}; "
            "auto, exclusive and mutex serve several",
        )


def _kind_of_addresses(values: Values, given: Layer) -> Iterator[str]:
    # What auto finds, and what an inherited socket is for, is known only to the workers.
    name = values.get("kind", "auto")
    if name == "auto":
        return
    serves = kind_named(name).schemes
    for address in values.get("bind", ()):
        if not address.startswith(("fd://", *serves)):
            yield sentence(
                "bind",
                address,
                given["bind"],
                f"the kind {name} ({given['kind'].source}) serves {' and '.join(serves)} addresses",
            )


def _delays(values: Values, given: Layer) -> Iterator[str]:
    first, longest = values.get("restart-delay"), values.get("restart-delay-max")
    if first is not None and longest is not None and first > longest:
        source = given["restart-delay-max"].source
        yield sentence(
            "restart-delay",
            f"{first:g}",
            given["restart-delay"],
            f"it must be at most restart-delay-max, which is {longest:g} ({source})",
        )


def _accounts(values: Values, given: Layer, surroundings: Surroundings) -> Iterator[str]:
    if surroundings.is_windows:
        return  # ``unfit`` has reported them there
    for name in ("user", "group"):
        text = values.get(name)
        if text is None:
            continue
        if text.isascii() and text.isdigit():
            # In containers ids without an entry in the system's tables are common.
            problem = "" if _is_id(text) else f"a number must be from 0 to {_HIGHEST_ID}"
        else:
            problem = "" if _exists(name, text) else f"there is no such {name}"
        if problem:
            yield sentence(name, text, given[name], problem)
        elif surroundings.uid != 0:
            yield sentence(name, text, given[name], f"only root can change the {name}")


def _is_id(digits: str) -> bool:
    # The length first: int() refuses thousands of digits.
    return len(digits.lstrip("0")) <= len(str(_HIGHEST_ID)) and int(digits) <= _HIGHEST_ID


def _exists(name: str, text: str) -> bool:
    """Return whether ``text`` is in the system's table of users, or of groups."""
    if sys.platform != "win32":
        look_up: Callable[[str], object] = pwd.getpwnam if name == "user" else grp.getgrnam
        try:
            look_up(text)
        except KeyError:
            return False
    return True


def _directory(values: Values, given: Layer, surroundings: Surroundings) -> Iterator[str]:
    text = values.get("chdir")
    if text is None:
        return
    path = surroundings.absolute(text)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        yield sentence("chdir", text, given["chdir"], "there is no such directory")
    except OSError as error:
        yield sentence("chdir", text, given["chdir"], f"it cannot be entered ({error.strerror})")
    else:
        if not stat.S_ISDIR(mode):
            yield sentence("chdir", text, given["chdir"], "there is no such directory")
        elif not os.access(path, os.X_OK):
            yield sentence("chdir", text, given["chdir"], "it cannot be entered (no permission)")
