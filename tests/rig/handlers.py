"""What the servers of most tests serve."""

#: Answers with the worker's process id in a line, then with whatever it is sent.
PID_ECHO = """
import os

def handle(connection, address):
    connection.sendall(b"%d\\n" % os.getpid())
    while data := connection.recv(1 << 16):
        connection.sendall(data)
"""
