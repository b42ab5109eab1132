"""What a kind declares: all that the rest of the server has to know of what it serves.

Declarations only: knows no kind, no process, no event loop.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from prefork.kinds.facts import Facts

if TYPE_CHECKING:
    # Only for types: neither command line nor arbiter shall import an event loop for a name.
    import asyncio
    import socket

#: What arrives at an address.
Traffic = Literal["connections", "datagrams"]
#: How the addresses of each begin.
SCHEMES: Final[dict[Traffic, tuple[str, ...]]] = {
    "connections": ("tcp://", "unix:"),
    "datagrams": ("udp://", "unixgram:"),
}

#: Ways of waiting for a connection, the best first.
BLOCKING: Final = ("blocking", "exclusive", "mutex")
IN_A_LOOP: Final = ("exclusive",)
IN_A_THREAD: Final = ("mutex", "exclusive")


class KindSettings(Protocol):
    """The settings that a kind may look at."""

    @property
    def threads(self) -> int:
        """How many connections a worker serves at once, each in its thread."""

    @property
    def concurrency(self) -> int:
        """How many units a worker holds at once."""

    @property
    def loop(self) -> str:
        """The event loop that is asked for."""


class Shape(Protocol):
    """How a target looks, without calling it; see ``kinds.targets.shape``."""

    target: Any  #: as the user has written it
    made: Any  #: the function or class behind all partials
    is_coroutine_function: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the positional arguments."""

    @property
    def required(self) -> int:
        """How many of them have no default."""

    def takes(self, count: int) -> bool:
        """Return whether a call with ``count`` positional arguments is possible."""

    def derives_from(self, module: str, name: str) -> bool:
        """Return whether it is a class with the base class ``name`` of ``module``."""


class LoopConnection(Protocol):
    """An accepted connection in an event loop, as a kind's function gets it."""

    socket: "socket.socket"
    timeout: float | None  #: seconds that a client may read nothing, once its handler is done

    async def connect(self, protocol: "asyncio.BaseProtocol") -> "asyncio.Transport":
        """Have ``protocol`` serve the connection from now on."""

    def served_by(self, protocol: "asyncio.BaseProtocol") -> None:
        """Count what the loop reports of ``protocol`` from now on as this connection's failure.

        Raises HandlerError when it serves another connection.
        """

    def fail(self, error: BaseException) -> None:
        """Log ``error``, and count this connection as failed."""

    def is_over(self) -> bool:
        """Return whether the loop has been ended: a task that is cancelled then shall end."""


class Worker(Protocol):
    """What a worker offers to the kind that it serves; each returns the worker's exit status."""

    @property
    def listeners(self) -> "Sequence[socket.socket]":
        """The shared sockets, in the order of ``bind``."""

    def serve_each(self, function: Callable[[Any, Any], object]) -> int:
        """Call ``function`` with each connection, or datagram, and its address.

        In as many threads as the settings ask for; the connection is closed afterwards.
        """

    def run_program(self, program: Callable[[Any], object]) -> int:
        """Call ``program`` once, with a WorkerContext to accept by."""

    def serve_in_loop(self, converse: Callable[[LoopConnection], Awaitable[object]]) -> int:
        """Await ``converse`` for each connection, in a task of its own of one event loop."""


class Datagram(Protocol):
    """What a worker takes from an address for datagrams, in the place of a connection."""

    data: bytes
    address: Any

    @property
    def sender(self) -> "socket.socket":
        """The socket that answers are sent by."""

    def reply(self, data: bytes) -> None:
        """Send ``data`` to where this came from."""


class Handler(Protocol):
    """A loaded target."""

    @property
    def target(self) -> Any:
        """The function or class of the user."""

    @property
    def name(self) -> str:
        """``module:attribute``, for messages."""


def _nothing(_: Any) -> str:
    return ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Kind:
    """A kind of handlers or programs: everything that the rest of the server has to know of it."""

    name: str
    #: Serves a handler until it is time to leave; returns the worker's exit status.
    serve: Callable[[Worker, Handler], int]

    # How a target shows that it is of this kind.
    example: str  #: how one is written, as messages show it
    arguments: tuple[str, ...]  #: it is called with these
    matches: Callable[[Shape], bool]  #: whether a target is one, as far as its shape shows
    order: int  #: of several kinds that match, the one with the lowest number wins
    coroutine: bool = False  #: it is a coroutine function
    claims: Callable[[Shape], str] = _nothing  #: names a class that only this kind serves
    objection: Callable[[Shape], str] = _nothing  #: why a target that matches is not served

    # What it serves, and how.
    serves: tuple[Traffic, ...] = ("connections",)
    target_serves: Callable[[Any], tuple[Traffic, ...]] | None = None  #: if the target decides
    mixes: bool = True  #: what serves both can do so at once
    event_loop: bool = False  #: a worker holds many units at once, which may last
    foreign_programs: bool = False  #: its workers are programs that know nothing of prefork
    unit: Literal["connection", "request", "datagram"] = "connection"  #: what is counted
    capacity: Literal["threads", "concurrency"] = "threads"  #: the setting with units at once
    accepts: tuple[str, ...] = BLOCKING  #: ways of waiting for a connection, the best first
    accepts_on_windows: tuple[str, ...] = BLOCKING
    #: Raises HandlerError for settings that it cannot be served with.
    check: Callable[[KindSettings], object] = _nothing

    @property
    def schemes(self) -> tuple[str, ...]:
        """How the addresses begin that it serves."""
        return tuple(scheme for traffic in self.serves for scheme in SCHEMES[traffic])

    def units_at_once(self, settings: KindSettings) -> int:
        """Return how many units a worker can hold at once."""
        return int(getattr(settings, self.capacity))

    def possible_accepts(self, platform: str) -> tuple[str, ...]:
        """Return the ways of waiting for a connection that are possible on ``platform``."""
        return self.accepts_on_windows if platform == "win32" else self.accepts

    def facts(self, module: str = "") -> Facts:
        """Return what travels to processes that must not import this kind."""
        return Facts(
            name=self.name,
            event_loop=self.event_loop,
            foreign_programs=self.foreign_programs,
            module=module,
        )
