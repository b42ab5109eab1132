"""The one place that chooses what fits the system at hand.

``System`` is its ``Platform``; the functions are what can be asked of it without any child.
"""

import sys

if sys.platform == "win32":
    from prefork.platform.windows.files import adopted_file as given_file
    from prefork.platform.windows.files import handle_of as number_of
    from prefork.platform.windows.files import memory_file
    from prefork.platform.windows.processes import WindowsPlatform as System
    from prefork.platform.windows.system import (
        accept_mutex,
        is_running,
        raise_descriptor_limit,
        resident_memory,
    )
else:
    from prefork.platform.linux import resident_memory
    from prefork.platform.posix.system import (
        accept_mutex,
        given_file,
        is_running,
        memory_file,
        number_of,
        raise_descriptor_limit,
    )

    if sys.platform == "linux":
        from prefork.platform.posix.linux import LinuxPlatform as System
    else:
        from prefork.platform.posix.processes import PosixPlatform as System

__all__ = [
    "System",
    "accept_mutex",
    "given_file",
    "is_running",
    "memory_file",
    "number_of",
    "raise_descriptor_limit",
    "resident_memory",
]
