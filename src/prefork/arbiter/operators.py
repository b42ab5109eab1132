"""Answers the operators' requests that come over the control socket."""

import time
from functools import partial
from typing import Annotated, Any, Final, Protocol

import msgspec

from prefork.arbiter.children import Children
from prefork.arbiter.scoreboard_writer import ScoreboardWriter
from prefork.control.server import Reply
from prefork.core.pool import Pool
from prefork.errors import ControlError
from prefork.platform.base import Platform
from prefork.platform.system import System
from prefork.settings.platforms import MOST_ON_WINDOWS
from prefork.settings.values import MOST_WORKERS
from prefork.status import status_of

#: Windows' select takes 512 sockets, and each worker has one to the arbiter.
MOST_HERE: Final = MOST_ON_WINDOWS if System.few_sockets else MOST_WORKERS


class Server(Protocol):
    """What operators can see and do."""

    pool: Pool
    children: Children
    scoreboard: ScoreboardWriter
    platform: Platform

    def report(self) -> None:
        """Bring the scoreboard up to date."""

    def resize(self, minimum: int, maximum: int) -> None:
        """Take on new limits of the pool's size."""

    def stop(self, *, at_once: bool, reason: str) -> None:
        """Begin to end the server."""


class Status(msgspec.Struct, tag_field="command", tag="status"):
    """What is the pool doing?"""


class Scale(msgspec.Struct, tag_field="command", tag="scale"):
    """Change how many workers there may be."""

    minimum: Annotated[int, msgspec.Meta(ge=0)]
    maximum: Annotated[int, msgspec.Meta(ge=1, le=MOST_WORKERS)]


class Stop(msgspec.Struct, tag_field="command", tag="stop"):
    """End the server, at once or after what is in progress."""

    now: bool = False


class Dump(msgspec.Struct, tag_field="command", tag="dump"):
    """Show the stacks of one worker, or of all."""

    slot: int | None = None


class Why(msgspec.Struct, tag_field="command", tag="why"):
    """Show the last decisions."""


Request = Status | Scale | Stop | Dump | Why


class Operators:
    """One method for each command; each answers by ``reply``, now or later."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def handle(self, line: bytes, reply: Reply) -> None:
        """Carry out the request in ``line``; raises ControlError, a sentence, if that cannot be."""
        try:
            request: Request = msgspec.json.decode(line, type=Request)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise ControlError(f"the request is not understood: {error}") from error
        match request:
            case Status():
                self._server.report()
                reply(status_of(self._server.scoreboard.scoreboard, self._server.platform.now()))
            case Scale(minimum, maximum):
                reply(self._scaled(minimum, maximum))
            case Stop(now):
                self._server.stop(at_once=now, reason="prefork stop")
                reply({"state": "stopping"})
            case Dump(slot):
                self._dump(slot, reply)
            case Why():
                reply({"decisions": self._decisions()})

    def _scaled(self, minimum: int, maximum: int) -> dict[str, int]:
        if minimum > maximum:
            raise ControlError(f"cannot scale to {minimum}..{maximum}: MIN is above MAX")
        if maximum > MOST_HERE:
            raise ControlError(f"cannot scale to {maximum}: here there are at most {MOST_HERE}")
        if self._server.pool.state == "stopping":
            raise ControlError("cannot scale a server that is stopping")
        self._server.resize(minimum, maximum)
        target = self._server.pool.target
        return {"minimum": minimum, "maximum": maximum, "target": target}

    def _dump(self, wanted: int | None, reply: Reply) -> None:
        children = self._server.children.by_slot
        slots = sorted(children) if wanted is None else [wanted]
        if wanted is not None and wanted not in children:
            raise ControlError(f"there is no worker in slot {wanted}")
        reports: list[dict[str, Any]] = []
        if not slots:
            reply({"workers": []})
        inspect, now = self._server.children.inspector.inspect, self._server.platform.now()
        for slot in slots:
            collect = partial(self._collect, reports, len(slots), reply)
            inspect(children[slot], now, collect)

    def _collect(
        self, reports: list[dict[str, Any]], expected: int, reply: Reply, report: dict[str, Any]
    ) -> None:
        record = self._server.pool.members.workers.get(report["slot"])
        reports.append({**report, "state": str(record.state) if record else "gone"})
        if len(reports) == expected:
            reply({"workers": sorted(reports, key=lambda report: int(report["slot"]))})

    def _decisions(self) -> list[dict[str, Any]]:
        # The pool's clock is monotonic; people want the time of day.
        offset = time.time() - self._server.platform.now()
        return [
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
