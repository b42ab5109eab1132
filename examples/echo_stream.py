"""A handler of the kind stream: sends back what it receives, one connection after another.

prefork serve examples/echo_stream.py
"""

import socket


def handle(connection: socket.socket, address: object) -> None:
    """Blocking is fine here: the worker does nothing else meanwhile."""
    while data := connection.recv(65536):
        connection.sendall(data)
