"""Values from the settings file: prefork.toml, or [tool.prefork] in pyproject.toml."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefork.settings import OPTIONS
from prefork.settings.names import NOT_OFFERED, meant
from prefork.settings.option import Option
from prefork.settings.sources import Given, texts_of
from prefork.settings.values import OCTAL

_PYPROJECT = "pyproject.toml"
_BY_NAME = {option.name: option for option in OPTIONS}


def from_file(directory: Path, config: str | None, problems: list[str]) -> dict[str, Given]:
    """Return the values of the file ``config``, else of prefork.toml, else of pyproject.toml.

    Both are looked for in ``directory``; mistakes are added to ``problems``.
    """
    if config is not None:
        return _given(directory / config, config, problems)
    for name in ("prefork.toml", _PYPROJECT):
        with contextlib.suppress(PermissionError):  # a directory that this process cannot read
            if (directory / name).is_file():
                return _given(directory / name, name, problems)
    return {}


def _given(path: Path, shown: str, problems: list[str]) -> dict[str, Given]:
    import tomllib  # only here: most servers have no such file

    try:
        table: Any = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        problems.append(f"the settings file {shown} cannot be read: {error.strerror}")
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"the settings file {shown} is not TOML: {error}")
        return {}
    if path.name == _PYPROJECT:
        for key in ("tool", "prefork"):
            table = table.get(key, {}) if isinstance(table, Mapping) else None
    if not isinstance(table, Mapping):
        problems.append(f"the settings file {shown} has a [tool.prefork] that is not a table")
        return {}
    return _settings_in(table, shown, problems)


def _settings_in(table: Mapping[str, Any], shown: str, problems: list[str]) -> dict[str, Given]:
    found = {}
    for key, value in table.items():
        option = _BY_NAME.get(key.replace("_", "-"))
        if option is None:
            problems.append(f"{shown} {_unknown(key)}")
            continue
        try:
            found[option.name] = Given(_texts(option, value), shown)
        except ValueError:
            problems.append(
                f"{option.name} cannot be {value!r} (from {shown}): {option.form.allowed}"
            )
    return found


def _texts(option: Option, value: object) -> tuple[str, ...]:
    if option.form is OCTAL and not isinstance(value, str):
        # umask = 22 is decimal in TOML, and not what its writer means.
        raise ValueError
    return texts_of(option, value)


def _unknown(key: str) -> str:
    if key.replace("_", "-") in NOT_OFFERED:
        return f"sets {key!r}, which this version does not offer"
    return f"has the unknown key {key!r}{meant(key, _BY_NAME)}"
