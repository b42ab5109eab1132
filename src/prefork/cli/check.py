"""``prefork check``: what would be in effect, and whether the target loads.  Binds nothing."""

import json
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from prefork.cli.server import resolved, server_parser
from prefork.core.limits import AutomaticMaximum
from prefork.errors import HandlerError
from prefork.kinds.base import Kind
from prefork.kinds.targets.finding import LoadedHandler, load
from prefork.kinds.targets.fitting import check_accept, check_addresses
from prefork.settings import OPTIONS, Settings
from prefork.settings.platforms import is_offered
from prefork.settings.resolve import Resolved
from prefork.sockets.addresses import parse_address
from prefork.sockets.binding import takes_datagrams


def run(argv: Sequence[str]) -> int:
    """Print the effective settings, each with its source.

    Raises SettingsError, HandlerError after the traceback of the user's code, and
    KeyboardInterrupt when that code was interrupted.
    """
    parser = server_parser(
        "check",
        "TARGET [options]",
        "Load settings and target, show the settings in effect, bind nothing.",
    )
    parser.add("json", "--json", help="print JSON")
    line = parser.parse(argv, most_words=1)
    effective = resolved(line)
    handler = _loaded(effective.settings)
    effective = replace(effective, settings=_for_kind(effective.settings, handler.kind))
    print(_json(effective, handler) if line.has("json") else _text(effective, handler))
    return 0


def _loaded(settings: Settings) -> LoadedHandler:
    """Load the target in this process as a worker would."""
    for pair in settings.env:
        name, _, value = pair.partition("=")
        os.environ[name] = value
    if settings.chdir is not None:
        os.chdir(settings.chdir)
    try:
        handler = load(settings.target, factory=settings.factory, kind=settings.kind)
        datagrams = takes_datagrams(parse_address(text) for text in settings.bind)
        check_addresses(handler, datagrams)
        check_accept(handler, settings.accept)
        handler.kind.check(settings)
        return handler
    except HandlerError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise error.__cause__ from None
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__, file=sys.stderr)
        raise


def _for_kind(settings: Settings, kind: Kind) -> Settings:
    """Return ``settings`` with the limits that ``workers = auto`` has for ``kind``."""
    if settings.loop_maximum is None:
        return settings
    automatic = AutomaticMaximum(settings.maximum, settings.loop_maximum)
    return replace(settings, maximum=automatic.of(is_loop=kind.event_loop))


def _text(effective: Resolved, handler: LoadedHandler) -> str:
    settings, sources = effective.settings, effective.sources
    offered = [option for option in OPTIONS if is_offered(option.name, sys.platform)]
    rows = [(o.name, o.text(settings) or "-", sources[o.name]) for o in offered]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    lines = [f"{name:{first}}  {value:{second}}  {source}" for name, value, source in rows]
    return "\n".join([f"{handler.name} is a handler of the kind {handler.kind.name}", "", *lines])


def _json(effective: Resolved, handler: LoadedHandler) -> str:
    settings = {
        option.name: {
            "value": _plain(option.name, option.value(effective.settings), effective.settings),
            "source": effective.sources[option.name],
        }
        for option in OPTIONS
    }
    return json.dumps(
        {"handler": {"name": handler.name, "kind": handler.kind.name}, "settings": settings},
        indent=2,
    )


def _plain(name: str, value: Any, settings: Settings) -> Any:
    return (
        {"minimum": settings.minimum, "maximum": settings.maximum} if name == "workers" else value
    )
