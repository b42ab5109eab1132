"""The rival of event loops: ``asyncio.start_server`` on a socket that all processes share.

Run as ``python -m benchmarks.bareloop WORKERS asyncio|uvloop``; prints its port and serves until
it is killed.
"""

import asyncio
import importlib
import signal
import socket
import sys

from benchmarks.bare import fork_workers
from benchmarks.handlers import answer


def main() -> None:
    loop = sys.argv[2]
    factory = importlib.import_module("uvloop").new_event_loop if loop == "uvloop" else None

    def work(listener: socket.socket) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        listener.setblocking(False)
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(serve(listener))

    fork_workers(int(sys.argv[1]), work)


async def serve(listener: socket.socket) -> None:
    server = await asyncio.start_server(answer, sock=listener)
    await server.serve_forever()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    main()
