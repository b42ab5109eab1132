"""Waits of commands, which Ctrl-C interrupts, on the system at hand."""

import sys

if sys.platform == "win32":
    from prefork.cli.windows_wait import pause, until_gone
else:
    from prefork.cli.posix_wait import pause, until_gone

__all__ = ["pause", "until_gone"]
