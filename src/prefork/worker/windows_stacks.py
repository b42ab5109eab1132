"""Stacks of a Windows process on demand, written by a thread that waits for an event.

There is no signal for that.  The thread needs the interpreter's lock: while C code holds it,
nothing is written.
"""

import faulthandler
import threading

from prefork.platform.windows.api import Waits


def dump_on(event: int, fd: int) -> None:
    """Write the stacks of all threads to ``fd`` each time that ``event`` is set.

    Those of a crash, such as an access violation, are written there as well.
    """
    faulthandler.enable(file=fd, all_threads=True)
    threading.Thread(target=_dump_on, args=(event, fd), name="stacks", daemon=True).start()


def _dump_on(event: int, fd: int) -> None:
    waits = Waits([event])
    while waits.wait() is not None:
        faulthandler.dump_traceback(file=fd, all_threads=True)
