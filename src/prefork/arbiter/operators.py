"""Answers the operators' requests that come over the control socket."""

import time
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, Protocol

from prefork.arbiter.board import Board
from prefork.arbiter.children import Children
from prefork.control import Reply
from prefork.core.pool import Pool
from prefork.core.states import MOLD
from prefork.errors import ControlError
from prefork.scoreboard import SLOTS
from prefork.status import status_of

Request = dict[str, Any]


class Server(Protocol):
    """What operators can see and do."""

    pool: Pool
    children: Children
    board: Board

    def report(self) -> None:
        """Bring the scoreboard up to date."""

    def resize(self, minimum: int, maximum: int) -> None:
        """Take on new limits of the pool's size."""

    def stop(self, *, at_once: bool, reason: str) -> None:
        """Begin to end the server."""


class Operators:
    """One method for each command; each answers by ``reply``, now or later."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def handle(self, request: Request, reply: Reply) -> None:
        """Carry out ``request``; raises ControlError, a sentence, when that is not possible."""
        commands: dict[object, Callable[[Request, Reply], None]] = {
            "status": self._status,
            "scale": self._scale,
            "stop": self._stop,
            "dump": self._dump,
            "why": self._why,
        }
        command = commands.get(request.get("command"))
        if command is None:
            offered = ", ".join(str(name) for name in commands)
            raise ControlError(f"no command is {request.get('command')!r}; there are {offered}")
        command(request, reply)

    def _status(self, request: Request, reply: Reply) -> None:
        del request
        self._server.report()
        reply(status_of(self._server.board.scoreboard, monotonic()))

    def _scale(self, request: Request, reply: Reply) -> None:
        minimum, maximum = request.get("minimum"), request.get("maximum")
        if not (isinstance(minimum, int) and isinstance(maximum, int)):
            raise ControlError("scale needs a minimum and a maximum, both whole numbers")
        if not 0 <= minimum <= maximum or maximum < 1:
            raise ControlError(f"cannot scale to {minimum}..{maximum}; 0 <= MIN <= MAX, 1 <= MAX")
        if maximum > SLOTS // 2:
            raise ControlError(f"cannot scale to {maximum} workers; at most {SLOTS // 2} fit")
        if self._server.pool.state == "stopping":
            raise ControlError("cannot scale a server that is stopping")
        self._server.resize(minimum, maximum)
        target = self._server.pool.target
        reply({"minimum": minimum, "maximum": maximum, "target": target})

    def _stop(self, request: Request, reply: Reply) -> None:
        at_once = bool(request.get("now"))
        self._server.stop(at_once=at_once, reason="prefork stop")
        reply({"state": "stopping"})

    def _dump(self, request: Request, reply: Reply) -> None:
        wanted = request.get("slot")
        children = self._server.children.by_slot
        slots = sorted(slot for slot in children if slot != MOLD) if wanted is None else [wanted]
        if missing := [slot for slot in slots if slot not in children]:
            raise ControlError(f"there is no worker in slot {missing[0]}")
        reports: list[dict[str, Any]] = []
        if not slots:
            reply({"workers": []})
        for slot in slots:
            collect = partial(self._collect, reports, len(slots), reply)
            self._server.children.inspector.inspect(children[slot], monotonic(), collect)

    def _collect(
        self, reports: list[dict[str, Any]], expected: int, reply: Reply, report: dict[str, Any]
    ) -> None:
        record = self._server.pool.records.get(report["slot"])
        reports.append({**report, "state": str(record.state) if record else "gone"})
        if len(reports) == expected:
            reply({"workers": sorted(reports, key=lambda report: int(report["slot"]))})

    def _why(self, request: Request, reply: Reply) -> None:
        del request
        # The pool's clock is monotonic; people want the time of day.
        offset = time.time() - monotonic()
        reply(
            {
                "decisions": [
                    {
                        "at": decision.at + offset,
                        "kind": decision.kind,
                        "before": decision.before,
                        "after": decision.after,
                        "why": decision.why,
                        "inputs": dict(decision.inputs),
                    }
                    for decision in self._server.pool.journal
                ]
            }
        )
