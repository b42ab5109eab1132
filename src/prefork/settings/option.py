"""One setting's declaration: its names, its form, its default, its sentence of help."""

import dataclasses
import itertools
import shlex
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace as _replace

from prefork.settings.values import FLAG, Form

_METADATA: Final = "option"


class Option(Struct, frozen=True, kw_only=True):
    """What flag, variable, file key, ``--help`` and reference page are made from."""

    name: str  #: key in the file; the flag is ``--name``, the variable ``PREFORK_NAME``
    group: str  #: the heading it stands under
    form: Form
    help: str  #: one sentence
    default: str | None  #: as text; None is "not set"
    computed: str = ""  #: describes a default that is computed at the start
    short: str = ""  #: a flag of one letter
    aliases: tuple[str, ...] = ()  #: flags of other servers, accepted silently
    many: bool = False  #: may be given several times
    fields: tuple[str, ...] = ()  #: of Settings, filled from the one value

    @property
    def flag(self) -> str:
        """The flag; the target alone has none, it is the positional argument."""
        return "TARGET" if self.name == "target" else f"--{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"PREFORK_{self.name.upper().replace('-', '_')}"

    @property
    def takes_value(self) -> bool:
        """Return whether the flag is followed by a value."""
        return self.form is not FLAG

    @property
    def default_text(self) -> str:
        """The default, as help and reference page show it."""
        return self.computed or self.default or "not set"

    def value(self, settings: object) -> Any:
        """Return the value of this option in ``settings``; several fields as a tuple."""
        values = tuple(getattr(settings, name) for name in self.fields)
        return values[0] if len(values) == 1 else values

    def text(self, settings: object) -> str:
        """Return the value as an environment variable would contain it."""
        value = self.value(settings)
        if value is None:
            return ""
        return shlex.join(value) if self.many else self.form.show(value)


def setting(name: str, *, value: Any = dataclasses.MISSING, **declared: Any) -> Any:
    """Return a dataclass field that carries an Option.

    ``value`` is the field's default if it is not simply the converted default text.
    """
    declared.setdefault("default", None)
    option = Option(name=name, **declared)
    if value is dataclasses.MISSING:
        value = None if option.default is None else option.form.convert(option.default)
    return dataclasses.field(default=value, metadata={_METADATA: option})


def also(name: str, *, value: Any) -> Any:
    """Return a dataclass field that gets its part of the value of the setting ``name``."""
    return dataclasses.field(default=value, metadata={_METADATA: name})


def options_of(settings: type) -> tuple[Option, ...]:
    """Return the options that the fields of ``settings`` declare, in their order."""
    return tuple(_options(settings))


def _options(settings: type) -> Iterator[Option]:
    fields = [field for field in dataclasses.fields(settings) if _METADATA in field.metadata]
    parts: dict[str, list[str]] = {}
    for field in fields:
        declared = field.metadata[_METADATA]
        name = declared.name if isinstance(declared, Option) else declared
        parts.setdefault(name, []).append(field.name)
    for field in fields:
        declared = field.metadata[_METADATA]
        if isinstance(declared, Option):
            yield _replace(declared, fields=tuple(parts[declared.name]))


def grouped(options: tuple[Option, ...]) -> list[tuple[str, list[Option]]]:
    """Return the options under their headings, both in the order of declaration."""
    return [(group, list(members)) for group, members in itertools.groupby(options, _group)]


def _group(option: Option) -> str:
    return option.group
