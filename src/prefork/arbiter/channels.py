"""The channels to our own processes: read when something has come, until they end."""

import contextlib
import selectors
from collections.abc import Callable
from functools import partial

from prefork.platform.base import Child


class Channels:
    """Cuts what children send into lines, and calls ``handle`` with each.

    ``closed`` is called when the child's end of the channel is closed, which is no notice of its
    death.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        handle: Callable[[Child, bytes], None],
        closed: Callable[[Child], None],
    ) -> None:
        self._selector = selector
        self._handle = handle
        self._closed = closed

    def watch(self, child: Child) -> None:
        """Have the loop read the channel of ``child`` whenever something has come."""
        self._selector.register(child.channel, selectors.EVENT_READ, partial(self.read, child))

    def ignore(self, child: Child) -> None:
        """Have the loop read the channel no more; ``read`` still does."""
        if child.channel.fileno() >= 0:
            with contextlib.suppress(KeyError):  # it was before
                self._selector.unregister(child.channel)

    def disconnect(self, child: Child) -> None:
        """Close the channel; the process may live on for a moment."""
        self.ignore(child)
        child.channel.close()

    def read(self, child: Child) -> None:
        """Handle all that ``child`` has sent so far."""
        while child.channel.fileno() >= 0:
            try:
                data = child.channel.recv(1 << 18)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.disconnect(child)
                self._closed(child)
                return
            *lines, child.unread = (child.unread + data).split(b"\n")
            for line in lines:
                self._handle(child, line)
