"""The sentence about a value that is not possible."""

from typing import Final

from prefork.settings.sources import Given

DEFAULT: Final = "default"
#: The source of what a command lays down for all its users, and nobody can change.
COMMAND: Final = "the command"
#: The sources of what nobody has said.
UNSAID: Final = frozenset({DEFAULT, COMMAND})


def sentence(name: str, text: str, given: Given, allowed: str) -> str:
    """Return the sentence about a value that is not possible."""
    shown = repr(text).replace(r"\\", "\\")  # as it was given, also the path of a file on Windows
    return f"{name} cannot be {shown} (from {given.source}): {allowed}"
