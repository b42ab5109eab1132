"""Starting a process by posix_spawn(3)."""

import os
import signal
from collections.abc import Mapping, Sequence

from prefork.platform.posix.signals import CAUGHT, DUMP


def start(
    argv: list[str],
    environ: Mapping[str, str],
    inherited: Sequence[int],
    outputs: Sequence[int] = (),
) -> int:
    """Start ``argv`` with only ``inherited`` and an empty standard input; return its process id.

    Standard output and standard error are ``outputs``, or ours.  The signals that we catch get
    their defaults back.  Raises OSError.
    """
    # Duplicating a descriptor onto its own number clears its close-on-exec flag in the child
    # alone (POSIX.1-2024, posix_spawn), so nothing is ever inheritable in the arbiter itself.
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_DUP2, fd, fd) for fd in dict.fromkeys(inherited)
    ]
    actions.append((os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0))
    for number, fd in enumerate(outputs, start=1):
        actions.append((os.POSIX_SPAWN_DUP2, fd, number))
    return os.posix_spawn(
        argv[0],
        argv,
        environ,
        file_actions=actions,
        setpgroup=0,  # so that Ctrl-C reaches the arbiter alone
        # Its default would end a process that has not yet prepared for it.
        setsigmask=[DUMP],
        setsigdef=[*CAUGHT, signal.SIGPIPE],
    )
