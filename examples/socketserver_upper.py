"""A handler of the standard library's socketserver: sends lines back in capitals.

prefork serve examples/socketserver_upper.py:Upper
"""

import socketserver


class Upper(socketserver.StreamRequestHandler):
    """One instance is created for each connection."""

    def handle(self) -> None:
        """Answer line by line."""
        for line in self.rfile:
            self.wfile.write(line.upper())
