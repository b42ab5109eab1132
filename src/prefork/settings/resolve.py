"""From the values of all sources to Settings: flag > environment > file > default."""

import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from prefork.core.limits import AutomaticMaximum, automatic_maximum
from prefork.errors import PreforkError, SettingsError
from prefork.kinds.event_loop.choice import SELECTABLE
from prefork.kinds.targets.place import facts_of_outside_kinds
from prefork.kinds.targets.text import is_path, parted, pure_path
from prefork.settings import OPTIONS, Settings
from prefork.settings.checks import contradictions
from prefork.settings.environment import adopted_sockets, asked_for, from_environment
from prefork.settings.option import Option
from prefork.settings.platforms import MOST_ON_WINDOWS
from prefork.settings.sentences import DEFAULT, sentence
from prefork.settings.sources import Given, Layer, Surroundings
from prefork.settings.toml import from_file

_NOWHERE = (
    "the current directory does not exist any more: change to another one, or set an absolute one "
    "with --chdir"
)


@dataclass(frozen=True, slots=True)
class Resolved:
    """Checked settings, each with its source."""

    settings: Settings
    sources: Mapping[str, str]  #: by the setting's name, as in "PREFORK_WORKERS"


def resolve(
    flags: Layer,
    surroundings: Surroundings,
    *,
    config: str | None = None,
    defaults: Mapping[str, str] = MappingProxyType({}),
    problems: Iterable[str] = (),
) -> Resolved:
    """Return the settings that result from all sources.

    ``defaults`` override the declared ones; ``problems`` are the mistakes found so far.
    Raises SettingsError with all mistakes, the given ones first.
    """
    found = list(problems)
    if config is not None and (problem := _strange_bytes(config)):
        raise SettingsError([*found, f"the settings file {problem}"])
    environment = from_environment(surroundings, found)
    directory = surroundings.directory or _directory_to_go_to(environment, flags)
    if directory is None:
        raise SettingsError([*found, _NOWHERE])
    surroundings = replace(surroundings, directory=directory)
    file = from_file(directory, config, found)
    layers = [_defaults(defaults), file, environment, flags]
    given = _merged(layers, surroundings, found)
    values = _converted(given, surroundings, found)
    found += contradictions(values, given, surroundings)
    if found:
        raise SettingsError(list(dict.fromkeys(found)))
    settings = replace(_settings(values), outside_kinds=facts_of_outside_kinds())
    if given["workers"].texts[-1:] == ("auto",):
        settings = replace(settings, loop_maximum=_automatic(surroundings).event_loop)
    return Resolved(settings, {name: value.source for name, value in given.items()})


def _directory_to_go_to(*layers: Layer) -> Path | None:
    """Return the directory that the last of ``layers`` with a ``chdir`` names, if it exists.

    It replaces a current directory that has been removed.
    """
    texts = [text for layer in layers if "chdir" in layer for text in layer["chdir"].texts]
    if not texts or not Path(texts[-1]).is_absolute():
        return None
    with contextlib.suppress(OSError):
        if Path(texts[-1]).is_dir():
            return Path(texts[-1])
    return None


def _defaults(before: Mapping[str, str]) -> dict[str, Given]:
    texts = {option.name: before.get(option.name, option.default) for option in OPTIONS}
    return {name: Given(() if text is None else (text,), DEFAULT) for name, text in texts.items()}


def _merged(
    layers: Iterable[Layer], surroundings: Surroundings, problems: list[str]
) -> dict[str, Given]:
    given: dict[str, Given] = {}
    for layer in layers:
        given.update(layer)
    adopted = adopted_sockets(surroundings, problems)
    if adopted:
        given["bind"] = _with_adopted(given["bind"], adopted)
    return given


def _with_adopted(asked: Given, adopted: tuple[str, ...]) -> Given:
    # Sockets that were passed to this process are always served; they replace addresses that the
    # user has not set, the default and PORT.
    if not asked_for(asked):
        return Given(adopted, "LISTEN_FDS")
    return Given((*asked.texts, *adopted), f"{asked.source}, LISTEN_FDS")


def _converted(given: Layer, surroundings: Surroundings, problems: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for option in OPTIONS:
        texts = _effective(option, given, surroundings)
        converted = []
        for text in texts:
            try:
                converted.append(_value(option, text, surroundings))
            except ValueError:
                problems.append(
                    sentence(option.name, text, given[option.name], option.form.allowed)
                )
            except PreforkError as error:
                problems.append(sentence(option.name, text, given[option.name], str(error)))
        if option.many:
            values[option.name] = tuple(converted)
        elif converted:
            values[option.name] = converted[-1]
    if not given["target"].texts:
        problems.append(
            "TARGET is missing: name what to serve, as in module:attribute or path/to/file.py"
        )
    if not values["bind"] and not given["bind"].texts:
        problems.append(sentence("bind", "", given["bind"], "a server needs at least one address"))
    return values


def _effective(option: Option, given: Layer, surroundings: Surroundings) -> tuple[str, ...]:
    """Return the texts of ``option``, with computed values inserted."""
    texts = given[option.name].texts
    match option.name, texts:
        case "workers", ("auto",):
            return (f"1..{_automatic(surroundings).blocking}",)
        case "concurrency", _ if _is_capped(given, surroundings):
            return (str(SELECTABLE),)
        case "log-format", ("auto",):
            return ("text" if surroundings.terminal else "json",)
        case "name", () if given["target"].texts:
            return (_name_of(given["target"].texts[-1], surroundings.platform),)
    return texts


def _automatic(surroundings: Surroundings) -> AutomaticMaximum:
    most = MOST_ON_WINDOWS if surroundings.is_windows else None
    return automatic_maximum(surroundings.cpus, most)


def _is_capped(given: Layer, surroundings: Surroundings) -> bool:
    """Return whether the default concurrency is too high for the selected loop."""
    asked = [text.lower() for text in given["loop"].texts]
    return (
        surroundings.is_windows and asked == ["selector"] and given["concurrency"].source == DEFAULT
    )


def _name_of(target: str, platform: str) -> str:
    """Return the server's name for ``target``: the stem of its file, its module's last part."""
    place, _ = parted(target, platform)
    is_file = is_path(place, platform)
    last = pure_path(place, platform).stem if is_file else place.rpartition(".")[2]
    return re.sub(r"[^\w.-]", "-", last)[:64] or "prefork"


def _value(option: Option, text: str, surroundings: Surroundings) -> Any:
    value = option.form.convert(text)
    match option.name:
        case "bind":
            value = str(surroundings.check_address(value))
        case "control" if value.startswith("unix:"):
            value = str(surroundings.check_address(_absolute_address(value, surroundings)))
        case "control" if value.startswith("tcp:"):
            value = str(surroundings.check_address(value))
        case "pidfile":
            value = str(surroundings.absolute(value))
    if isinstance(value, str) and (problem := _strange_bytes(value)):
        raise SettingsError([problem])
    return value


def _absolute_address(address: str, surroundings: Surroundings) -> str:
    path = address.removeprefix("unix:")
    return address if path.startswith("@") else f"unix:{surroundings.absolute(path)}"


def _strange_bytes(value: str) -> str:
    """Return what is wrong with a text that cannot be written in UTF-8, as settings travel.

    Python keeps such bytes of an argument or of a directory's name as surrogates.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"{value!r} is not valid UTF-8"
    return ""


def _settings(values: Mapping[str, Any]) -> Settings:
    fields: dict[str, Any] = {}
    for option in OPTIONS:
        if option.name not in values:
            continue
        if len(option.fields) == 1:
            fields[option.fields[0]] = values[option.name]
        else:
            fields.update(zip(option.fields, values[option.name], strict=True))
    return Settings(**fields)
