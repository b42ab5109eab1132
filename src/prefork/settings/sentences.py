"""The sentence about a value that is not possible, and the sources of values."""

from typing import Final

from prefork.settings.sources import Given

DEFAULT: Final = "default"
#: The source of values that a command fixes, and no user can change.
COMMAND: Final = "the command"
#: The sources of values that no user has set.
UNSAID: Final = frozenset({DEFAULT, COMMAND})


def sentence(name: str, text: str, given: Given, allowed: str) -> str:
    """Return the sentence about a value that is not possible."""
    shown = repr(text).replace(r"\\", "\\")  # as it was written, also a path of Windows
    return f"{name} cannot be {shown} (from {given.source}): {allowed}"
