"""A handler of the kind asyncio: sends back what it receives, many connections at a time.

prefork serve examples/echo_asyncio.py
"""

import asyncio


async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Await, never block: every other connection of the worker would wait."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()  # a client that does not read must not fill our memory
