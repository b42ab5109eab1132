"""What runs in the child processes, and by which names the arbiter starts it."""

from typing import Final

SPAWNED: Final = __name__  #: a worker in a fresh interpreter
MOLD: Final = f"{__name__}.mold"  #: what imports the target once and forks workers
EARLY: Final = f"{__name__}.early"  #: a mold that waits before its arbiter is ready
LAUNCHER: Final = f"{__name__}.launcher"  #: what becomes a program that is not ours
