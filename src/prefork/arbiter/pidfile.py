"""The file with the arbiter's process id, for who looks after it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from prefork.errors import SettingsError
from prefork.platform.system import is_running


@contextlib.contextmanager
def pidfile(path: str | None) -> Iterator[None]:
    """Keep our process id in the file ``path``; raises SettingsError when that cannot be."""
    if path is None:
        yield
        return
    file = Path(path)
    if (other := _living_process(file)) is not None:
        raise SettingsError([f"pidfile {path} names the process {other}, which is alive"])
    try:
        file.write_text(f"{os.getpid()}\n")
    except OSError as error:
        raise SettingsError([f"pidfile {path} cannot be written: {error.strerror}"]) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if file.read_text().strip() == str(os.getpid()):
                file.unlink()


def _living_process(file: Path) -> int | None:
    """Return the process that ``file`` names, if it is alive and not this one."""
    try:
        pid = int(file.read_text())
    except (OSError, ValueError):
        return None
    return pid if pid > 0 and pid != os.getpid() and is_running(pid) else None
