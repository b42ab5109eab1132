"""``prefork echo``: the echo server, for a first look and for measurements."""

from collections.abc import Sequence
from typing import Final

from prefork.cli.server import OF_PROGRAMS, resolved, server_parser
from prefork.launch.arbiter import become_arbiter
from prefork.settings import Settings

_PINNED: Final = {"target": "prefork.echo:handle", "kind": "stream", "factory": "false"}
_DEFAULTS: Final = {"bind": "tcp://0.0.0.0:1500", "workers": "5", "name": "echo"}


def run(argv: Sequence[str]) -> int:
    """Serve; return the exit code.  Raises SettingsError."""
    return become_arbiter(settings(argv))


def settings(argv: Sequence[str]) -> Settings:
    """Return the settings of the server that ``argv`` asks for.  Raises SettingsError."""
    parser = server_parser(
        "echo",
        "[options]",
        "Serve the echo server: it sends back what it receives. Its defaults are "
        f"--bind {_DEFAULTS['bind']}, --workers {_DEFAULTS['workers']}, --name echo.",
        without=("kind", "factory", *OF_PROGRAMS),
    )
    line = parser.parse(argv)
    return resolved(line, pinned=_PINNED, defaults=_DEFAULTS).settings
