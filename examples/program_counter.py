"""A handler of the kind program: accepts for itself, and keeps something between connections.

prefork serve examples/program_counter.py
"""

import itertools

import prefork


def main(worker: prefork.WorkerContext) -> None:
    """Tell each client the worker's slot, and the client's number in this worker."""
    numbers = itertools.count(1)  # stands for a cache, or a connection to a database
    worker.ready()
    for connection in worker.accept():
        connection.sendall(f"slot {worker.slot}, client {next(numbers)}\n".encode())
