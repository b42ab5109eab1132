"""Serves handlers of the kind ``stream`` and ``datagram``: one call for each."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from prefork.logs import log
from prefork.sockets.listeners import peer_text
from prefork.worker.accept.gate import Gate
from prefork.worker.counters import Counters

#: Called with what a gate lets in, a connection or a datagram, and the client's address.
StreamHandler = Callable[[Any, Any], object]


def serve(gate: Gate, handler: StreamHandler, counters: Counters) -> None:
    """Handle one connection after another until it is time to leave."""
    while (accepted := gate.accept()) is not None:
        connection, address = accepted
        _call(connection, address, handler, counters, counters.begin(address))


def serve_threaded(gate: Gate, handler: StreamHandler, counters: Counters, threads: int) -> None:
    """Handle up to ``threads`` connections at once; none is taken that would have to wait.

    Returns when it is time to leave and every connection is finished.
    """
    from concurrent.futures.thread import ThreadPoolExecutor  # only here: most have no threads

    free = threading.Semaphore(threads)

    def run(connection: Any, address: object, token: int) -> None:
        try:
            _call(connection, address, handler, counters, token)
        finally:
            free.release()

    with ThreadPoolExecutor(threads, thread_name_prefix="connection") as pool:
        while free.acquire() and (accepted := gate.accept()) is not None:
            # Counted before its thread runs: nobody must take this worker for idle.
            pool.submit(run, *accepted, counters.begin(accepted[1]))


def _call(
    connection: Any, address: object, handler: StreamHandler, counters: Counters, token: int
) -> None:
    """Call ``handler`` with a connection, close it, count it; survive any exception."""
    failed = True
    try:
        handler(connection, address)
        failed = False
    except BaseException as error:  # noqa: BLE001 (also SystemExit must not end the worker)
        _tell_failure(error, address)
    finally:
        with suppress(OSError):  # the handler may have closed the descriptor itself
            connection.close()
        counters.end(token, failed=failed)


def _tell_failure(error: BaseException, address: object) -> None:
    log.current().exception(
        "handler failed",
        error,
        pid=os.getpid(),
        peer=peer_text(address),
    )
