"""The same small service for both rivals: a handler for prefork, an application for gunicorn.

Imports nothing, so that what is measured is the servers.
"""

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


def handle(connection, address):  # type: ignore[no-untyped-def]  (without an import)
    """Answer a request whose text does not matter."""
    del address
    connection.recv(4096)
    connection.sendall(ANSWER)


def app(environ, start_response):  # type: ignore[no-untyped-def]  (PEP 3333)
    """Answer the same as a WSGI application."""
    del environ
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
