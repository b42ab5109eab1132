"""What the arbiter asks of a POSIX system once: files to share, a limit, other processes."""

import contextlib
import fcntl
import os
import resource
import sys

if sys.platform != "linux":
    import tempfile


def memory_file(name: str, *, append: bool = False) -> int:
    """Return the descriptor of an empty file that is in nobody's way."""
    if sys.platform == "linux":
        fd = os.memfd_create(f"prefork-{name}", os.MFD_CLOEXEC)
    else:
        fd, path = tempfile.mkstemp(prefix=f"prefork-{name}-")
        os.unlink(path)  # noqa: PTH108 (it lives on by its descriptor)
    if append:
        # Writer and reader share one position; appending, it is always the end.
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
    return fd


def given_file(number: int) -> int:
    """Return the descriptor of an inherited file, which its parent knows by ``number``."""
    return number


def accept_mutex(name: str | None) -> tuple[int, bool]:
    """Return the number by which workers inherit their accept mutex: a file to lock.

    Also tells whether somebody else had made it before: never.
    """
    assert name is None  # the settings refuse one
    return memory_file("accept-mutex"), False


def is_running(pid: int) -> bool:
    """Tell whether there is a process ``pid``."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def number_of(fd: int) -> int:
    """Return the number by which a child inherits the file ``fd``: here it is the same."""
    return fd


def raise_descriptor_limit() -> int:
    """Let this process open as many files as it may; return the former limit.

    Two descriptors stay open for each worker, five for a program, and 1024 is a common soft limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft
