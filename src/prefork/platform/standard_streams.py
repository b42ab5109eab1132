"""Standard input, output and error: open, whatever state they were inherited in.

Imports next to nothing: it runs before everything else, in the command line and in the arbiter.
"""

import os
import sys


def fill_standard_streams() -> None:
    """Open /dev/null in place of each standard stream that was closed at the start.

    Otherwise the next file or socket that is opened gets its number, 0, 1 or 2: the settings
    would arrive as the arbiter's input, the log would be written into a listener, and the
    children would get both as streams of their own.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            # open(2) takes the lowest free number, and those below are open by now.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    # The interpreter has no object for a stream that was closed when it started.
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115  open as long as we live
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
