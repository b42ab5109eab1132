"""Our own sockets are none of those that ``socket.setdefaulttimeout`` is about.

A module of the user's may call it.  A socket that is made after that, also of a descriptor that
others share, does not block any more: neither it nor the others.
"""

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def no_default_timeout() -> Iterator[float | None]:
    """Make sockets that block as long as it takes; yields what the user has set meanwhile."""
    users = socket.getdefaulttimeout()
    socket.setdefaulttimeout(None)
    try:
        yield users
    finally:
        socket.setdefaulttimeout(users)
