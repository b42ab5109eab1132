"""What a POSIX system is asked for apart from children: files, a limit, other processes."""

import contextlib
import fcntl
import os
import resource
import stat
from pathlib import Path
from typing import Final


def memory_file(name: str, *, append: bool = False) -> int:
    """Return the descriptor of an empty file without a name."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create(f"prefork-{name}", os.MFD_CLOEXEC)
    else:
        import tempfile  # only here: it brings much along that Linux does not need

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

    Also returns whether another process had made it before: never.
    """
    assert name is None  # the settings refuse one
    return memory_file("accept-mutex"), False


def is_running(pid: int) -> bool:
    """Return whether there is a process ``pid``."""
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


def private_directories() -> list[Path]:
    """Return where this user's servers may keep their files, the best place first."""
    candidates = []
    if runtime := os.environ.get("RUNTIME_DIRECTORY"):  # systemd's RuntimeDirectory=
        candidates.append(Path(runtime.partition(":")[0]))
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        candidates.append(Path(runtime) / "prefork")
    if os.geteuid() == 0:
        candidates.append(Path("/run/prefork"))
    # Not tempfile.gettempdir(): where nothing is writable it takes the current directory.
    candidates.append(Path(os.environ.get("TMPDIR") or "/tmp") / f"prefork-{os.geteuid()}")
    return candidates


def is_private(directory: Path) -> bool:
    """Return whether only our user (and root) can put or change files in ``directory``.

    Raises OSError.
    """
    status = directory.lstat()
    mode = stat.S_IMODE(status.st_mode)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not mode & 0o022


def lock_byte(fd: int, position: int) -> None:
    """Lock a byte of the file ``fd`` as long as this process lives; raises OSError.

    A record lock belongs to the process: unlike a process id, it cannot become another's, and
    unlike the descriptor, workers that outlive us do not inherit it.
    """
    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, position)


def is_byte_locked(fd: int, position: int) -> bool:
    """Return whether another process has called ``lock_byte`` for this byte, and lives."""
    try:
        fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, position)
    except OSError:
        return True
    fcntl.lockf(fd, fcntl.LOCK_UN, 1, position)
    return False


#: What opening a file of a name that another process has in use raises.
IN_USE: Final = (FileExistsError, BlockingIOError)

#: Operators can connect to a path, and the system knows which user they are.
HAS_UNIX_SOCKETS: Final = True


def create_file(path: Path, size: int) -> int:
    """Return the descriptor of a new file with room for ``size`` bytes, which no child inherits.

    Raises OSError.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(fd, 0, size)
    except OSError:
        os.close(fd)
        path.unlink()
        raise
    return fd


def remove_file(path: Path, fd: int) -> None:
    """Remove the file that ``create_file`` has made; open copies can still be read."""
    del fd
    path.unlink(missing_ok=True)
