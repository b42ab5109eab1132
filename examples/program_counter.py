"""A handler of the kind program: accepts connections itself, and keeps state between them.

prefork serve examples/program_counter.py
"""

import itertools

import prefork


def main(worker: prefork.WorkerContext) -> None:
    """Send each client the worker's slot, and the client's number in this worker."""
    numbers = itertools.count(1)  # stands for a cache, or a connection to a database
    worker.ready()
    for connection in worker.accept():
        connection.sendall(f"slot {worker.slot}, client {next(numbers)}\n".encode())
