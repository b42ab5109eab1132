"""Starting the arbiter in place of this process, or as its child, on the system at hand."""

import sys

if sys.platform == "win32":
    from prefork.launch.windows import become_arbiter, run_arbiter, user_number
else:
    from prefork.launch.posix import become_arbiter, run_arbiter, user_number

__all__ = ["become_arbiter", "run_arbiter", "user_number"]
