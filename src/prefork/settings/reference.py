"""The reference page of the settings, made from their declarations.

``python -m prefork.settings.reference`` writes it to docs/reference/settings.md.
"""

from collections.abc import Iterator
from pathlib import Path

from prefork.settings import OPTIONS
from prefork.settings.option import Option, grouped

PAGE = Path("docs/reference/settings.md")

_INTRODUCTION = """\
<!-- Made by `python -m prefork.settings.reference`; do not edit. -->

# Settings

Each setting can be given as a flag, as an environment variable, or as a key in `prefork.toml` or
in the table `[tool.prefork]` of `pyproject.toml`, both in the current directory (`--config FILE`
names another file). A flag goes before the variable, the variable before the file, the file
before the default. `prefork check TARGET` shows what is in effect, and where each value is from.
All mistakes are reported at once, before anything is bound.

Durations are seconds: `30`, `0.5`, or with a unit, `500ms`, `2m`, `1h`. In a variable that holds
several values they are separated by spaces and quoted as in a shell, except that on Windows
a backslash stands for itself; in a file they are a list. An empty variable counts as not set.
What Windows has no means for, such as `user`, is refused there by a sentence that says what would
be right; [Windows](../guides/windows.md) lists it all.

Besides, `PORT` stands for `bind = "tcp://0.0.0.0:PORT"` and `WEB_CONCURRENCY` for `workers`; the
variables of prefork's own go before them. Sockets that come with `LISTEN_FDS` (systemd) are
served in place of the default address, or together with the addresses asked for.

`prefork echo` has its own defaults: `bind` is `tcp://0.0.0.0:1500`, `workers` is `5`, `name` is
`echo`. So has `prefork exec`: `concurrency` is `1`, `name` is that of the program.
"""


def reference_page() -> str:
    """Return the page as Markdown."""
    parts = [_INTRODUCTION]
    for group, options in grouped(OPTIONS):
        parts.append(f"## {group}\n")
        parts.extend("\n".join(_lines(option)) + "\n" for option in options)
    return "\n".join(parts)


def _lines(option: Option) -> Iterator[str]:
    yield f"### {option.name}\n"
    yield f"{option.help}\n"
    yield f"- Flag: {_flags(option)}"
    yield f"- Variable: `{option.variable}`"
    yield f"- Default: {_default(option)}"
    yield f"- Allowed: {option.form.allowed.removeprefix('it is ')}"


def _default(option: Option) -> str:
    is_literal = option.default is not None and not option.computed
    return f"`{option.default}`" if is_literal else option.default_text


def _flags(option: Option) -> str:
    if option.name == "target":
        return "none, it is the command's `TARGET`"
    metavar = f" {option.form.metavar}" if option.takes_value else ""
    flags = [f"`{flag}{metavar}`" for flag in (option.flag, f"-{option.short}") if flag != "-"]
    flags += [f"`{alias}`" for alias in option.aliases]
    return ", ".join(flags) + (" (repeatable)" if option.many else "")


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(reference_page())
