"""``prefork stop``: stop the server, and wait until it is gone."""

import contextlib
import os
import select
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from prefork.cli.operator import connected, operator_parser, parsed, print_json, refuse_mistakes

#: Seconds that the interpreter may take to end after all is closed.
PATIENCE: Final = 5.0


def run(argv: Sequence[str]) -> int:
    """Stop the server.  Raises SettingsError, ControlError."""
    parser = operator_parser(
        "stop", "[options]", "Stop the server gracefully: it finishes its connections first."
    )
    parser.add("now", "--now", help="stop at once, without finishing connections")
    line = parsed(parser, argv)
    refuse_mistakes(line)
    with connected(line) as control:
        status = control.ask("status")
        name = status["name"]
        with until_gone(status["pid"], PATIENCE):
            control.ask("stop", now=line.has("now"))
            control.wait_closed()
    if line.has("json"):
        print_json({"name": name, "state": "stopped"})
    else:
        print(f"{name} has stopped")
    return 0


if sys.platform == "win32":
    from prefork.cli.windows_wait import until_gone
else:

    @contextlib.contextmanager
    def until_gone(pid: int, limit: float) -> Iterator[None]:
        """Leave the block only when ``pid``, alive at its beginning, is gone, or after ``limit``.

        At the end of the connection all is closed but the interpreter itself.
        """
        try:
            process = os.pidfd_open(pid)
        except (AttributeError, OSError):  # another system, or another namespace
            yield
            return
        try:
            yield
            poll = select.poll()
            poll.register(process, select.POLLIN)
            poll.poll(limit * 1000)
        finally:
            os.close(process)
