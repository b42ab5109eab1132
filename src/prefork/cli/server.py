"""What the commands that start a server have in common: the settings' flags, and resolution."""

from collections.abc import Mapping
from typing import Final

from prefork.cli.arguments import Kept, Line, Parser
from prefork.launch.surroundings import surroundings
from prefork.settings import OPTIONS
from prefork.settings.option import Option
from prefork.settings.resolve import Resolved, resolve
from prefork.settings.sentences import COMMAND
from prefork.settings.sources import Given

#: Of uvicorn and hypercorn: together they make an address.
_PLACES: Final = ("--host", "--port", "--uds", "--fd")
#: What is only for programs.
OF_PROGRAMS: Final = ("ready-after", "stop-signal")
_BIND: Final = "tcp://127.0.0.1:8000"


def server_parser(
    command: str, usage: str, summary: str, *, without: tuple[str, ...] = OF_PROGRAMS
) -> Parser:
    """Return a parser of all settings but those named in ``without``."""
    parser = Parser(command, usage, summary)
    parser.add(
        "config",
        "--config",
        "-c",
        metavar="FILE",
        help="settings file (default: prefork.toml, else [tool.prefork] in pyproject.toml)",
    )
    for option in OPTIONS:
        if option.name != "target" and option.name not in without:
            _add(parser, option)
    for flag in _PLACES:
        parser.add(flag, flag, metavar=flag[2:].upper(), help=None)
    return parser


def _add(parser: Parser, option: Option) -> None:
    flags = [f"-{option.short}"] if option.short else []
    text = f"{option.help} [{option.default_text}; {option.variable}]"
    metavar = option.form.metavar
    parser.add(option.name, *flags, option.flag, metavar=metavar, group=option.group, help=text)
    for alias in option.aliases:
        parser.add(option.name, alias, metavar=metavar, help=None)


def resolved(
    line: Line,
    *,
    pinned: Mapping[str, str] | None = None,
    defaults: Mapping[str, str] | None = None,
) -> Resolved:
    """Return the settings of ``line`` and all other sources; ``pinned`` ones cannot be changed.

    Raises SettingsError with all mistakes.
    """
    around = surroundings()
    environ = around.environ
    place = (defaults or {}).get("bind", _BIND)
    if port := environ.get("PORT"):
        place = f"{place.rpartition(':')[0]}:{port}"
    flags = _given(line, place)
    for name, text in (pinned or {}).items():
        flags[name] = Given((text,), COMMAND)
    return resolve(
        flags, around, config=line.last("config"), defaults=defaults or {}, problems=line.problems
    )


def _given(line: Line, place: str) -> dict[str, Given]:
    """Return what the flags set; ``place`` completes a --host or --port that stands alone."""
    found: dict[str, Given] = {}
    by_name = {option.name: option for option in OPTIONS}
    for kept in line.kept:
        option = by_name.get(kept.dest)
        if option is None:
            continue
        text = "true" if kept.value is None else kept.value
        before = found[option.name].texts if option.many and option.name in found else ()
        found[option.name] = Given((*before, text), f"flag {option.flag}")
    if addresses := _addresses(line, place):
        before = found["bind"].texts if "bind" in found else ()
        flags = [kept.flag for kept in line.kept if kept.dest in (*_PLACES, "bind")]
        found["bind"] = Given((*before, *addresses), f"flag {', '.join(dict.fromkeys(flags))}")
    if line.words:
        found["target"] = Given((line.words[0],), "argument TARGET")
    return found


def _addresses(line: Line, place: str) -> list[str]:
    found = [_address(kept) for kept in line.kept if kept.dest in ("--uds", "--fd")]
    host, port = line.last("--host"), line.last("--port")
    if host is not None or port is not None:
        default_host, _, default_port = place.removeprefix("tcp://").rpartition(":")
        host = default_host if host is None else host
        host = f"[{host}]" if ":" in host and not host.startswith("[") else host
        found.append(f"tcp://{host}:{default_port if port is None else port}")
    return found


def _address(kept: Kept) -> str:
    return f"unix:{kept.value}" if kept.dest == "--uds" else f"fd://{kept.value}"
