"""Whether anything waits at a socket."""

import selectors
import socket
from typing import Final

#: Poll takes any descriptor; Windows has none, and select there takes any socket.
_Selector: Final = getattr(selectors, "PollSelector", selectors.SelectSelector)


def is_readable(sock: socket.socket) -> bool:
    """Return whether something can be taken from ``sock`` without waiting."""
    with _Selector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(0))
