"""The handlers that the benchmarks serve; the first does what ``bare`` does."""

import asyncio
import os
import select
import socket

buffer = bytearray(65536)
view = memoryview(buffer)


def echo(connection: socket.socket, address: object) -> None:
    """Send back what arrives, until the client closes."""
    del address
    while count := connection.recv_into(buffer):
        connection.sendall(view[:count])


def answer_once(connection: socket.socket, address: object) -> None:
    """Send back what arrives first."""
    del address
    connection.sendall(connection.recv(4096))


def greet(connection: socket.socket, address: object) -> None:
    """Tell in 16 bytes who serves, then send back what arrives."""
    connection.sendall(str(os.getpid()).ljust(16).encode())
    echo(connection, address)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what arrives, at once; after ``slow`` block the whole loop for 50 ms."""
    data = await reader.readexactly(64)
    if data.startswith(b"slow"):
        block()
    writer.write(data)
    await writer.drain()
    writer.close()


async def greet_in_loop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Tell in 16 bytes who serves, then send back what arrives."""
    writer.write(str(os.getpid()).ljust(16).encode())
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


def block() -> None:
    """Do nothing for 50 ms, and let nobody in this thread do anything."""
    select.select([], [], [], 0.05)
