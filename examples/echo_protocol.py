"""A handler of the kind protocol: sends back what it receives, without streams in between.

prefork serve examples/echo_protocol.py:Echo
"""

import asyncio
from typing import cast


class Echo(asyncio.Protocol):
    """One instance is created for each connection."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to answer through."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one by shape only

    def data_received(self, data: bytes) -> None:
        """Answer at once; the transport keeps what the client is slow to take."""
        self.transport.write(data)

    def pause_writing(self) -> None:
        """Read no more while the client does not read: its answers must not fill our memory."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on once it has read."""
        self.transport.resume_reading()
