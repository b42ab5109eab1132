"""The pool at a glance, read from the scoreboard alone.

So it is the same whether the arbiter answers or the operator's own process reads, and it can be
had while the arbiter, or every worker, is stopped.
"""

import time
from pathlib import Path
from typing import Any, Final

from prefork.ipc.reading import ServerView, TotalsView, WorkerView, read_server, server_view
from prefork.ipc.scoreboard import ListenerDescription, Scoreboard
from prefork.platform.system import resident_memory
from prefork.sockets.listeners import peer_text
from prefork.sockets.queue import Queue
from prefork.sockets.system import queue_depths

VERSION: Final = 1

#: TotalsView of the contract that nothing counts yet: no worker is recycled, nothing is reloaded.
_NOT_COUNTED: Final = {"recycled": 0, "reloads": 0}


def read_status(path: Path) -> dict[str, Any]:
    """Return the status of the server whose scoreboard is the file ``path``.

    Raises OSError when it cannot be read, ProtocolError when it is no scoreboard.
    """
    return _status(read_server(path), time.monotonic())


def status_of(scoreboard: Scoreboard, now: float) -> dict[str, Any]:
    """Return the status object of the contract; ``now`` is on the monotonic clock."""
    return _status(server_view(scoreboard), now)


def _status(server: ServerView, now: float) -> dict[str, Any]:
    description = server.description
    workers = [_worker(worker, now) for worker in server.workers]
    return {
        "version": VERSION,
        "name": description.name,
        "pid": server.pid,
        "state": server.state,
        "generation": server.generation,
        "uptime": _seconds_since(server.started, now),
        "target": description.target,
        "control": description.control,
        "kind": server.kind or None,
        "accept": server.accept,
        "listeners": _listeners(description.listeners),
        "pool": _pool(server, workers),
        "totals": _totals(server.totals),
        "workers": workers,
    }


def _listeners(listeners: tuple[ListenerDescription, ...]) -> list[dict[str, Any]]:
    queues = queue_depths()
    return [_listener(listener, queues.get(listener.inode)) for listener in listeners]


def _listener(listener: ListenerDescription, queue: Queue | None) -> dict[str, Any]:
    return {
        "address": listener.address,
        "queued": None if queue is None else queue.depth,
        # An adopted socket listens with what its owner set, not as our settings ask for.
        "backlog": listener.backlog if queue is None else queue.limit,
    }


def _pool(server: ServerView, workers: list[dict[str, Any]]) -> dict[str, int]:
    def count(state: str) -> int:
        return sum(worker["state"] == state for worker in workers)

    busy = sum(worker["state"] == "ready" and worker["busy"] for worker in workers)
    return {
        "minimum": server.minimum,
        "maximum": server.maximum,
        "target": server.target,
        "starting": count("starting"),
        "ready": count("ready"),
        "busy": busy,
        "idle": count("ready") - busy,
        "draining": count("draining"),
    }


def _totals(totals: TotalsView) -> dict[str, int]:
    return {
        "accepted": totals.counts.accepted,
        "handled": totals.counts.handled,
        "failed": totals.counts.failed,
        "spawned": totals.spawned,
        "exited": totals.exited,
        "crashed": totals.crashed,
        "hung": totals.hung,
        **_NOT_COUNTED,
    }


def _worker(worker: WorkerView, now: float) -> dict[str, Any]:
    is_busy = worker.active > 0
    return {
        "slot": worker.slot,
        "pid": worker.pid,
        "generation": worker.generation,
        "state": worker.state,
        "busy": is_busy,
        "active": worker.active,
        "connections": worker.connections,
        "accepted": worker.counts.accepted,
        "handled": worker.counts.handled,
        "failed": worker.counts.failed,
        "age": _seconds_since(worker.started, now),
        "busy_for": _seconds_since(worker.oldest_since, now) if is_busy else 0.0,
        "peer": peer_text(worker.peer) if is_busy and worker.peer is not None else None,
        "says": worker.text or None,
        "memory": resident_memory(worker.pid),
    }


def _seconds_since(moment: float | None, now: float) -> float:
    """Return how long ago ``moment`` was; 0 where it is unknown."""
    return 0.0 if moment is None else round(now - moment, 3)
