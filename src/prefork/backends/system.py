"""What the arbiter stands on, of the system at hand."""

import sys

if sys.platform == "win32":
    from prefork.backends.windows import WindowsBackend as Backend
    from prefork.backends.winfiles import adopted_file as given_file
    from prefork.backends.winfiles import handle_of, memory_file
    from prefork.backends.winsystem import accept_mutex, is_running, raise_descriptor_limit
else:
    from prefork.backends.posix import PosixBackend as Backend
    from prefork.backends.posixsystem import (
        accept_mutex,
        given_file,
        handle_of,
        is_running,
        memory_file,
        raise_descriptor_limit,
    )

__all__ = [
    "Backend",
    "accept_mutex",
    "given_file",
    "handle_of",
    "is_running",
    "memory_file",
    "raise_descriptor_limit",
]
