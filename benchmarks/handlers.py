"""The handlers that the benchmarks serve; the first does what ``bare`` does."""

import os
import socket

buffer = bytearray(65536)
view = memoryview(buffer)


def echo(connection: socket.socket, address: object) -> None:
    """Send back what arrives, until the client closes."""
    del address
    while count := connection.recv_into(buffer):
        connection.sendall(view[:count])


def greet(connection: socket.socket, address: object) -> None:
    """Tell in 16 bytes who serves, then send back what arrives."""
    connection.sendall(str(os.getpid()).ljust(16).encode())
    echo(connection, address)
