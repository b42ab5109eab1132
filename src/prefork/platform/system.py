"""The one place that chooses what fits the system at hand.

``System`` is its ``Platform``; the functions are what can be asked of it without any child.
"""

import sys

if sys.platform == "win32":
    from prefork.platform.windows.files import (
        HAS_UNIX_SOCKETS,
        IN_USE,
        create_file,
        is_byte_locked,
        is_private,
        lock_byte,
        memory_file,
        private_directories,
        remove_file,
    )
    from prefork.platform.windows.files import adopted_file as given_file
    from prefork.platform.windows.files import handle_of as number_of
    from prefork.platform.windows.lookup import BATCH_ENDINGS, candidates, reason_missing
    from prefork.platform.windows.processes import WindowsPlatform as System
    from prefork.platform.windows.system import (
        accept_mutex,
        is_running,
        raise_descriptor_limit,
        resident_memory,
    )
else:
    from prefork.platform.linux import resident_memory
    from prefork.platform.posix.lookup import BATCH_ENDINGS, candidates, reason_missing
    from prefork.platform.posix.system import (
        HAS_UNIX_SOCKETS,
        IN_USE,
        accept_mutex,
        create_file,
        given_file,
        is_byte_locked,
        is_private,
        is_running,
        lock_byte,
        memory_file,
        number_of,
        private_directories,
        raise_descriptor_limit,
        remove_file,
    )

    if sys.platform == "linux":
        from prefork.platform.posix.linux import LinuxPlatform as System
    else:
        from prefork.platform.posix.processes import PosixPlatform as System

__all__ = [
    "BATCH_ENDINGS",
    "HAS_UNIX_SOCKETS",
    "IN_USE",
    "System",
    "accept_mutex",
    "candidates",
    "create_file",
    "given_file",
    "is_byte_locked",
    "is_private",
    "is_running",
    "lock_byte",
    "memory_file",
    "number_of",
    "private_directories",
    "raise_descriptor_limit",
    "reason_missing",
    "remove_file",
    "resident_memory",
]
