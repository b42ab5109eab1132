"""A handler of the kind stream: greets each client by name.

prefork serve examples/hello.py
"""

import socket


def handle(connection: socket.socket, address: object) -> None:
    """Read a line, answer with a greeting, until the client disconnects."""
    with connection.makefile("rwb") as stream:
        for line in stream:
            stream.write(b"Hello, " + line.strip() + b"!\n")
            stream.flush()
