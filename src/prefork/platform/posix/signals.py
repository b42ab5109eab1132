"""The signals by which the arbiter reaches its workers, and those that it reads itself."""

import signal
from typing import Final

#: Asks a worker to look at its channel.  Ignored by default, so one that comes before the handler
#: is set, or to a program that knows nothing of it, does no harm.
NUDGE: Final = signal.SIGURG

#: Makes a process write the stacks of its threads to its dump file.
DUMP: Final = signal.SIGUSR2

#: What the arbiter catches; each is no more than a wake-up until the loop reads its number.
CAUGHT: Final = (
    signal.SIGCHLD,
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
)

#: What waits until the arbiter can handle it: an early Ctrl-C is a stop like any other.
HELD_BACK: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def signal_name(signum: int) -> str:
    """Return the name of ``signum``, such as ``SIGTERM``."""
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"  # a real-time signal
