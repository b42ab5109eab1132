"""What the arbiter stands on, of the system at hand."""

import sys

if sys.platform == "win32":
    from prefork.platform.windows.files import adopted_file as given_file
    from prefork.platform.windows.files import handle_of, memory_file
    from prefork.platform.windows.processes import WindowsBackend as Backend
    from prefork.platform.windows.system import accept_mutex, is_running, raise_descriptor_limit
else:
    from prefork.platform.posix.processes import PosixBackend as Backend
    from prefork.platform.posix.system import (
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
