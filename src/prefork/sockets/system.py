"""The one place that chooses what of sockets fits the system at hand."""

import sys

if sys.platform == "win32":
    from prefork.sockets.windows import (
        arriving,
        bind_local,
        can_be_named,
        claim,
        close_number,
        copy_of,
        inode,
        needs_opening,
        queue_depths,
        queued,
        quiesce,
        release,
        report_destinations,
    )
else:
    from prefork.sockets.posix import (
        bind_local,
        can_be_named,
        claim,
        close_number,
        copy_of,
        inode,
        report_destinations,
    )

    if sys.platform == "linux":
        from prefork.sockets.linux import (
            arriving,
            needs_opening,
            queue_depths,
            queued,
            quiesce,
            release,
        )
    else:
        from prefork.sockets.posix import (
            arriving,
            needs_opening,
            queue_depths,
            queued,
            quiesce,
            release,
        )

__all__ = [
    "arriving",
    "bind_local",
    "can_be_named",
    "claim",
    "close_number",
    "copy_of",
    "inode",
    "needs_opening",
    "queue_depths",
    "queued",
    "quiesce",
    "release",
    "report_destinations",
]
