"""The rival: a pre-fork server as short as Python allows.  Nobody watches its workers.

Run as ``python -m benchmarks.bare WORKERS``; prints its port and serves until it is killed.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable


def main() -> None:
    fork_workers(int(sys.argv[1]), work)


def fork_workers(count: int, work: Callable[[socket.socket], None]) -> None:
    """Print the port of a new listener, have ``count`` children serve it, wait for SIGTERM."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(listener.getsockname()[1], flush=True)
    workers = []
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            work(listener)
        workers.append(pid)
    signal.sigwait({signal.SIGTERM})
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def work(listener: socket.socket) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    buffer = bytearray(65536)
    view = memoryview(buffer)
    while True:
        connection, _ = listener.accept()
        while count := connection.recv_into(buffer):
            connection.sendall(view[:count])
        connection.close()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    main()
