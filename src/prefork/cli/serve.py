"""``prefork serve``: check everything, then become the arbiter."""

from collections.abc import Sequence

from prefork.cli.server import resolved, server_parser
from prefork.launch import become_arbiter


def run(argv: Sequence[str]) -> int:
    """Serve; return the exit code.  Raises SettingsError."""
    parser = server_parser("serve", "TARGET [options]", "Serve a Python handler.")
    return become_arbiter(resolved(parser.parse(argv, most_words=1)).settings)
