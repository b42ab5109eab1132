"""Serves what a gate lets in by calls of a function: one after another, or in threads."""

import threading
from typing import Any

from prefork.worker.accept.gate import Gate
from prefork.worker.connection import Connections, Function


def serve(gate: Gate, function: Function, connections: Connections) -> None:
    """Handle one connection after another until it is time to leave."""
    accept, begin, serve_one = gate.accept, connections.begin, connections.serve
    while (accepted := accept()) is not None:
        connection, address = accepted
        serve_one(connection, address, function, begin(address))


def serve_threaded(gate: Gate, function: Function, connections: Connections, threads: int) -> None:
    """Handle up to ``threads`` connections at once; none is taken that would have to wait.

    Returns when it is time to leave and every connection is finished.
    """
    from concurrent.futures.thread import ThreadPoolExecutor  # only here: most have no threads

    free = threading.Semaphore(threads)

    def run(connection: Any, address: object, key: int) -> None:
        try:
            connections.serve(connection, address, function, key)
        finally:
            free.release()

    with ThreadPoolExecutor(threads, thread_name_prefix="connection") as pool:
        while free.acquire() and (accepted := gate.accept()) is not None:
            # Counted before its thread runs: nobody must take this worker for idle.
            pool.submit(run, *accepted, connections.begin(accepted[1]))
