"""The values that the sources contain, still as text, each with its source."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefork.settings.option import Option
from prefork.settings.values import OCTAL


@dataclass(frozen=True, slots=True)
class Given:
    """The value of one setting in one source."""

    texts: tuple[str, ...]  #: one; none or several only if the setting takes many
    source: str  #: as in "flag --workers", "PREFORK_WORKERS", "prefork.toml", "default"


#: Setting's name → its value in a source.
Layer = Mapping[str, Given]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the settings depend on besides the user's values."""

    environ: Mapping[str, str]
    directory: Path | None  #: where the command was run; None if it has been removed since
    pid: int
    cpus: int
    terminal: bool  #: standard error is one
    check_address: Callable[[str], object]  #: raises PreforkError; ``str()`` is canonical
    uid: int = 0
    platform: str = sys.platform

    @property
    def is_windows(self) -> bool:
        """Return whether the server is to run on Windows."""
        return self.platform == "win32"

    def absolute(self, path: str) -> Path:
        """Return ``path`` relative to the directory where the command was run."""
        assert self.directory is not None  # resolve() goes on only with one
        return self.directory / path


def texts_of(option: Option, value: object) -> tuple[str, ...]:
    """Return a value of Python or TOML as the texts that a flag would have.

    Raises ValueError for a value that has no such text.
    """
    if option.many and isinstance(value, Mapping):
        return tuple(f"{key}={_text(option, item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        texts = tuple(_text(option, item) for item in value)
        if option.many:
            return texts
        if option.name == "workers" and len(texts) == 2:
            return ("..".join(texts),)
        raise ValueError
    return (_text(option, value),)


def _text(option: Option, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if option.form is OCTAL and isinstance(value, int):
        # Python's 0o022 is a number here; -1 and the like are refused later.
        return f"{value:o}"
    if isinstance(value, float):
        return f"{value:.9f}".rstrip("0").rstrip(".")
    if isinstance(value, (str, int)):
        return str(value)
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    raise ValueError
