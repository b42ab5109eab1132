"""The pool at a glance, read from the scoreboard alone.

So it is the same whether the arbiter answers or the operator's own process reads, and it can be
had while the arbiter, or every worker, is stopped.
"""

import time
from pathlib import Path
from typing import Any

import msgspec

from prefork.ipc.scoreboard import (
    H_CRASHED,
    H_EXITED,
    H_GENERATION,
    H_HUNG,
    H_KIND,
    H_MAXIMUM,
    H_MINIMUM,
    H_PID,
    H_RECYCLED,
    H_RELOADS,
    H_SPAWNED,
    H_STARTED,
    H_STATE,
    H_TARGET,
    H_USED,
    KINDS,
    R_GENERATION,
    R_PID,
    R_STARTED,
    R_STATE,
    SERVER_STATES,
    STATES,
    W_ACTIVE,
    W_BUSY_SINCE,
    W_HELD_SINCE,
    Scoreboard,
)
from prefork.kinds.shapes import KINDS as HANDLERS
from prefork.platform.system import resident_memory
from prefork.sockets.backlog import Queue, queue_depths

VERSION = 1


def read_status(path: Path) -> dict[str, Any]:
    """Return the status of the server whose scoreboard is the file ``path``.

    Raises OSError when it cannot be read, ProtocolError when it is no scoreboard.
    """
    with open(path, "rb") as file:
        board = Scoreboard.open(file.fileno())
    return status_of(board, time.monotonic())


def status_of(board: Scoreboard, now: float) -> dict[str, Any]:
    """Return the status object of the contract; ``now`` is on the monotonic clock."""
    text = msgspec.json.decode(board.text)
    header = board.header
    kind = KINDS[header[H_KIND]]
    workers = [
        _worker(board, slot, now, says=kind == "command")
        for slot in range(header[H_USED])
        if board.record(slot).words[R_STATE]
    ]
    return {
        "version": VERSION,
        "name": text["name"],
        "pid": header[H_PID],
        "state": SERVER_STATES[header[H_STATE]],
        "generation": header[H_GENERATION],
        "uptime": round(now - board.clock[H_STARTED], 3),
        "target": text["target"],
        "control": text["control"],
        "kind": kind or None,
        "accept": _accept(kind, text["accept"]),
        "listeners": _listeners(text["listeners"]),
        "pool": _pool(board, workers),
        "totals": _totals(board),
        "workers": workers,
    }


def _accept(kind: str, resolved: str) -> str:
    """Return how workers accept; what suits event loops is known only with the ``kind``."""
    is_loop = kind in HANDLERS and HANDLERS[kind].event_loop
    return "exclusive" if is_loop and resolved == "blocking" else resolved


def _listeners(listeners: list[dict[str, Any]]) -> list[dict[str, Any]]:
    queues = queue_depths()
    return [_listener(listener, queues.get(listener["inode"])) for listener in listeners]


def _listener(listener: dict[str, Any], queue: Queue | None) -> dict[str, Any]:
    return {
        "address": listener["address"],
        "queued": None if queue is None else queue.depth,
        # An adopted socket listens with what its owner said, not with what our settings say.
        "backlog": listener["backlog"] if queue is None else queue.limit,
    }


def _pool(board: Scoreboard, workers: list[dict[str, Any]]) -> dict[str, int]:
    def count(state: str) -> int:
        return sum(worker["state"] == state for worker in workers)

    busy = sum(worker["state"] == "ready" and worker["busy"] for worker in workers)
    return {
        "minimum": board.header[H_MINIMUM],
        "maximum": board.header[H_MAXIMUM],
        "target": board.header[H_TARGET],
        "starting": count("starting"),
        "ready": count("ready"),
        "busy": busy,
        "idle": count("ready") - busy,
        "draining": count("draining"),
    }


def _totals(board: Scoreboard) -> dict[str, int]:
    counted = board.totals()
    return {
        "accepted": counted.accepted,
        "handled": counted.handled,
        "failed": counted.failed,
        "spawned": board.header[H_SPAWNED],
        "exited": board.header[H_EXITED],
        "crashed": board.header[H_CRASHED],
        "hung": board.header[H_HUNG],
        "recycled": board.header[H_RECYCLED],
        "reloads": board.header[H_RELOADS],
    }


def _worker(board: Scoreboard, slot: int, now: float, *, says: bool) -> dict[str, Any]:
    record, row, counted = board.record(slot), board.row(slot), board.counted(slot)
    busy_since = row.clock[W_BUSY_SINCE] or row.clock[W_HELD_SINCE]
    active = row.words[W_ACTIVE]
    return {
        "slot": slot,
        "pid": record.words[R_PID],
        "generation": record.words[R_GENERATION],
        "state": STATES[record.words[R_STATE]],
        "busy": active > 0,
        "active": active,
        "accepted": counted.accepted,
        "handled": counted.handled,
        "failed": counted.failed,
        "age": round(now - record.clock[R_STARTED], 3),
        "busy_for": round(now - busy_since, 3) if active and busy_since else 0.0,
        "peer": row.peer if active and not says else None,
        "says": (row.peer or None) if says else None,
        "memory": resident_memory(record.words[R_PID]),
    }
