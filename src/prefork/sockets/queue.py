"""What is known of the queue of a listener, on any system."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits at a listener."""

    depth: int  #: so many connections or datagrams
    #: of listen(2), which the kernel may have lowered to net.core.somaxconn; datagrams have none
    limit: int | None
