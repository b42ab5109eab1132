"""The worker's end of its channel, as all systems have it; how it is read differs."""

from typing import Protocol

from prefork.ipc import messages


class Channel(Protocol):
    """Carries the arbiter's orders to the worker, and the worker's messages to the arbiter."""

    leaving: bool  #: take no more
    orphaned: bool  #: the arbiter is gone

    def read(self) -> None:
        """Read what the arbiter has sent."""

    def send(self, message: messages.Message) -> None:
        """Send ``message`` to the arbiter; lost when there is none any more."""

    def finish(self) -> None:
        """Send no more."""
