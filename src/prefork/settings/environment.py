"""Values from the environment: PREFORK_… variables, and the conventions of platforms."""

import shlex
from collections.abc import Mapping

from prefork.settings import OPTIONS
from prefork.settings.sentences import DEFAULT
from prefork.settings.sources import Given, Surroundings

#: The first descriptor that systemd passes: SD_LISTEN_FDS_START in sd_listen_fds(3).
_FIRST_FD = 3
_MOST_FDS = 1024


def from_environment(surroundings: Surroundings, problems: list[str]) -> dict[str, Given]:
    """Return the values of the environment; mistakes are added to ``problems``.

    An empty variable counts as not set, which is how compose files and unit files leave one
    out.  Several values are separated and quoted as in a shell.
    """
    environ = surroundings.environ
    found = _of_platforms(environ)
    for option in OPTIONS:
        text = environ.get(option.variable, "").strip()
        if not text:
            continue
        try:
            texts = tuple(_words(text, surroundings)) if option.many else (text,)
        except ValueError:
            problems.append(
                f"{option.name} cannot be {text!r} (from {option.variable}): a quote is not closed"
            )
            continue
        found[option.name] = Given(texts, option.variable)
    return found


def _words(text: str, surroundings: Surroundings) -> list[str]:
    """Return the words of ``text``; raises ValueError when a quote is not closed."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    if surroundings.is_windows:
        lexer.escape = ""  # there a backslash separates the names of a path
    return list(lexer)


def _of_platforms(environ: Mapping[str, str]) -> dict[str, Given]:
    found = {}
    if workers := environ.get("WEB_CONCURRENCY", "").strip():
        found["workers"] = Given((workers,), "WEB_CONCURRENCY")
    if port := environ.get("PORT", "").strip():
        # A platform that sets it connects from outside, so on every interface.
        found["bind"] = Given((f"tcp://0.0.0.0:{port}",), "PORT")
    return found


def adopted_sockets(surroundings: Surroundings, problems: list[str]) -> tuple[str, ...]:
    """Return the addresses of the sockets that were passed to this process, by sd_listen_fds(3).

    They are for this process only if LISTEN_PID is its process id.  On Windows sockets are not
    passed like this: the first would not be 3 there.
    """
    environ = surroundings.environ
    if surroundings.is_windows or environ.get("LISTEN_PID", "").strip() != str(surroundings.pid):
        return ()
    text = environ.get("LISTEN_FDS", "").strip() or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 5 and int(text) <= _MOST_FDS):
        problems.append(
            f"bind cannot be taken from {text!r} (from LISTEN_FDS): "
            f"it must be the number of sockets, from 0 to {_MOST_FDS}"
        )
        return ()
    return tuple(f"fd://{_FIRST_FD + index}" for index in range(int(text)))


def asked_for(given: Given) -> bool:
    """Return whether the user has set addresses, which are then served beside adopted sockets."""
    return given.source not in ("PORT", DEFAULT)
