"""The gate: how the workers of a pool take turns at their listeners, on any system.

A gate's ``accept`` waits for a connection, or a datagram where the listener is one for those, and
returns it with its address, or None when it is time to leave.  It is called only by an idle
worker, so the pool has one queue, the kernel's, and no connection waits behind a busy worker while
another is idle.
"""

import os
from typing import Any, Final, Protocol

from prefork.logs import log

#: Seconds until the next try when the system has no descriptor or memory for a connection.
EXHAUSTED_PAUSE: Final = 0.1

#: A connection, or a ``datagrams.ReceivedDatagram`` in its place, and the client's address.
Accepted = tuple[Any, Any]


class Gate(Protocol):
    """Lets one connection after another in."""

    def accept(self) -> Accepted | None:
        """Wait for a connection; return it and its address, or None when it is time to leave."""


def complain(reason: str) -> None:
    """Log why no connection can be accepted for now."""
    log.current().warning("cannot accept", pid=os.getpid(), reason=reason)
