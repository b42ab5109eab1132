"""How log lines leave a process, without ever waiting for their reader, on the system at hand."""

import sys

if sys.platform == "win32":
    from prefork.logs.windows import Writer
else:
    from prefork.logs.posix import Writer

__all__ = ["Writer"]
