"""The errors prefork raises: one tree, each message a whole sentence.

::

    PreforkError
    ├── SettingsError    one or more settings are wrong; all of them are listed
    ├── ListenError      an address cannot be bound or adopted
    ├── HandlerError     the target cannot be loaded, or is of no known kind
    ├── ProtocolError    a message between our own processes is malformed
    └── ControlError     no such server, or it did not answer
"""

from collections.abc import Sequence


class PreforkError(Exception):
    """Anything that prefork can report to have gone wrong; ``str()`` is a sentence for the user."""


class SettingsError(PreforkError):
    """One or more settings are wrong."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)  #: one sentence for each mistake


class ListenError(PreforkError):
    """An address cannot be bound or adopted."""


class HandlerError(PreforkError):
    """The target cannot be loaded, or is not something prefork can serve."""


class ProtocolError(PreforkError):
    """A message between prefork's own processes is malformed."""


class ControlError(PreforkError):
    """There is no such server, or it did not answer."""
