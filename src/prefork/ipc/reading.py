"""Reading a scoreboard as a whole, for everything that shows a server: status, metrics, a console.

Everything is bounded: a number that stands for nothing, as in a damaged file, is read as unknown.
"""

from math import isfinite
from pathlib import Path

from msgspec import Struct

from prefork.ipc.layout import Record, Row
from prefork.ipc.scoreboard import Description, Scoreboard


class Counts(Struct, frozen=True, kw_only=True):
    """What a worker, or all of them, have done."""

    accepted: int = 0  #: connections, or datagrams, taken
    handled: int = 0  #: units finished, failed ones included
    failed: int = 0  #: units whose handler raised


class TotalsView(Struct, frozen=True, kw_only=True):
    """What has happened since the server started."""

    counts: Counts
    spawned: int  #: workers started
    exited: int  #: workers gone
    crashed: int
    hung: int


class WorkerView(Struct, frozen=True, kw_only=True):
    """A worker at one moment."""

    slot: int
    pid: int
    generation: int
    state: str
    started: float | None  #: on the monotonic clock; None is unknown
    connections: int  #: held
    active: int  #: units in progress
    oldest_since: float | None  #: when the oldest unit in progress began; None is unknown
    peer: tuple[str, int] | str | None  #: that unit's client, as ``accept`` named it
    counts: Counts  #: in this worker's own life
    text: str  #: what a program reports of itself


class ServerView(Struct, frozen=True, kw_only=True):
    """A server at one moment."""

    description: Description
    pid: int  #: the arbiter's
    state: str
    generation: int
    started: float | None  #: on the monotonic clock; None is unknown
    kind: str  #: empty until a process has loaded the target
    accept: str
    minimum: int
    maximum: int
    target: int
    totals: TotalsView
    workers: tuple[WorkerView, ...]


def read_server(path: Path) -> ServerView:
    """Return what the scoreboard in the file ``path`` holds.

    Raises OSError when it cannot be read, ProtocolError when it is no scoreboard of a server.
    """
    with open(path, "rb") as file:
        return server_view(Scoreboard.open(file.fileno()))


def server_view(scoreboard: Scoreboard) -> ServerView:
    """Return what ``scoreboard`` holds; raises ProtocolError when it describes no server."""
    header = scoreboard.header
    totals = TotalsView(
        counts=_total(scoreboard),
        spawned=header.spawned,
        exited=header.exited,
        crashed=header.crashed,
        hung=header.hung,
    )
    records = ((slot, scoreboard.record(slot)) for slot in scoreboard.used_slots)
    return ServerView(
        description=scoreboard.description,
        pid=header.pid,
        state=header.state,
        generation=header.generation,
        started=_moment(header.started),
        kind=header.kind,
        accept=header.accept,
        minimum=header.minimum,
        maximum=header.maximum,
        target=header.target,
        totals=totals,
        workers=tuple(
            _worker(slot, record, scoreboard.row(slot)) for slot, record in records if record.state
        ),
    )


def counted(record: Record, row: Row) -> Counts:
    """Return what the present worker of a slot has counted in its own life."""
    return Counts(
        accepted=row.accepted - record.accepted_before,
        handled=row.handled - record.handled_before,
        failed=row.failed - record.failed_before,
    )


def oldest_since(row: Row) -> float | None:
    """Return when the oldest unit in progress began; None if that is unknown, or there is none."""
    return _moment(row.busy_since) or _moment(row.held_since)


def _total(scoreboard: Scoreboard) -> Counts:
    used = len(scoreboard.used_slots)
    return Counts(
        accepted=sum(scoreboard.column(Row.accepted)[:used]),
        handled=sum(scoreboard.column(Row.handled)[:used]),
        failed=sum(scoreboard.column(Row.failed)[:used]),
    )


def _worker(slot: int, record: Record, row: Row) -> WorkerView:
    return WorkerView(
        slot=slot,
        pid=record.pid,
        generation=record.generation,
        state=record.state,
        started=_moment(record.started),
        connections=row.connections,
        active=row.active,
        oldest_since=oldest_since(row),
        peer=row.peer,
        counts=counted(record, row),
        text=row.text,
    )


def _moment(value: float) -> float | None:
    return value if isfinite(value) and value > 0 else None
