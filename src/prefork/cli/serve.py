"""``prefork serve``: check everything, then become the arbiter."""

from collections.abc import Sequence

from prefork.cli.server import resolved, server_parser
from prefork.launch.arbiter import become_arbiter
from prefork.settings import Settings


def run(argv: Sequence[str]) -> int:
    """Serve; return the exit code.  Raises SettingsError."""
    return become_arbiter(settings(argv))


def settings(argv: Sequence[str]) -> Settings:
    """Return the settings of the server that ``argv`` asks for.  Raises SettingsError."""
    parser = server_parser("serve", "TARGET [options]", "Serve a Python handler.")
    return resolved(parser.parse(argv, most_words=1)).settings
