"""Starting a process by posix_spawn(3)."""

# ruff: noqa: E402  (checkers on Windows pass over what follows the assertion)

import sys

assert sys.platform != "win32"

import os
import signal
from collections.abc import Sequence

from prefork.ipc import messages as wire
from prefork.platform.posix.programs import Means


def start(
    argv: list[str], inherited: Sequence[int], means: Means | None, caught: Sequence[int]
) -> int:
    """Start ``argv`` with only ``inherited``, an empty standard input and our outputs, or theirs.

    Duplicating a descriptor onto its own number clears its close-on-exec flag in the child
    alone (POSIX.1-2024, posix_spawn), so nothing is ever inheritable in the arbiter itself.
    The signals that we have ``caught`` get their defaults back.
    """
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_DUP2, fd, fd) for fd in inherited
    ]
    actions.append((os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0))
    for number, fd in enumerate(() if means is None else means.outputs, start=1):
        actions.append((os.POSIX_SPAWN_DUP2, fd, number))
    return os.posix_spawn(
        argv[0],
        argv,
        os.environ if means is None else means.environ,
        file_actions=actions,
        setpgroup=0,  # so that Ctrl-C reaches the arbiter alone
        # Its default would end a process that has not yet prepared for it.
        setsigmask=[wire.DUMP],
        setsigdef=[*caught, signal.SIGPIPE],
    )
