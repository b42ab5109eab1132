"""``prefork serve``: check everything, then become the arbiter."""

from collections.abc import Sequence

from prefork.cli.server import resolved, server_parser
from prefork.launch import exec_arbiter


def run(argv: Sequence[str]) -> int:
    """Serve; returns only by an error.  Raises SettingsError."""
    parser = server_parser("serve", "TARGET [options]", "Serve a Python handler.")
    exec_arbiter(resolved(parser.parse(argv, most_words=1)).settings)
