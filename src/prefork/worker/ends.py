"""Hearing how the connection of a user's protocol begins and ends, and what goes wrong in it."""

import asyncio
import functools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

#: What the user's code may raise; asyncio would end the loop for the last two.
_RAISED: Final = (Exception, SystemExit, KeyboardInterrupt)


@dataclass(frozen=True, slots=True)
class Ends:
    """What is called for a connection, whatever its protocol does."""

    failed: Callable[[BaseException], None]  #: a method has raised; the connection is closed
    lost: Callable[[], None]  #: after ``connection_lost``


def observe(protocol: asyncio.BaseProtocol, ends: Ends) -> None:
    """Have ``ends`` called for ``protocol``, and for one that takes its place.

    asyncio would keep a connection open and unanswered whose protocol refuses it by an exception,
    and end the loop, with all other connections, for a SystemExit.  A protocol with ``__slots__``
    takes no attributes; then its class is replaced by a subclass that differs in this alone.
    Raises TypeError or AttributeError for one that allows neither.
    """
    wrapped = {
        name: functools.partial(wrapper, protocol, ends, getattr(protocol, name))
        for name, wrapper in _wrappers(protocol).items()
    }
    try:
        for name, method in wrapped.items():
            object.__setattr__(protocol, name, method)  # also of a frozen dataclass
    except AttributeError:
        cls, all_ends = _observed(type(protocol))  # type: ignore[arg-type]  # hashable
        object.__setattr__(protocol, "__class__", cls)
        all_ends[id(protocol)] = ends


def _wrappers(protocol: asyncio.BaseProtocol) -> dict[str, Callable[..., Any]]:
    data = "buffer_updated" if isinstance(protocol, asyncio.BufferedProtocol) else "data_received"
    return {"connection_made": _made, "connection_lost": _lost, data: _received}


def _made(
    protocol: asyncio.BaseProtocol,
    ends: Ends,
    made: Callable[[Any], None],
    transport: asyncio.Transport,
) -> None:
    try:
        made(transport)
    except _RAISED as error:
        ends.failed(error)
        transport.abort()
        return
    # For a protocol of the user's own making this is the one way to its transport.
    with suppress(AttributeError):
        object.__setattr__(protocol, "_prefork_transport", transport)
    _follow(protocol, ends, transport)


def _received(
    protocol: asyncio.BaseProtocol, ends: Ends, received: Callable[[Any], None], data: Any
) -> None:
    transport: asyncio.Transport | None = getattr(protocol, "_prefork_transport", None)
    try:
        received(data)
    except _RAISED as error:
        ends.failed(error)
        if transport is not None:
            transport.abort()
        return
    if transport is not None and transport.get_protocol() is not protocol:
        _follow(protocol, ends, transport)


def _lost(
    protocol: asyncio.BaseProtocol,
    ends: Ends,
    lost: Callable[[Exception | None], None],
    error: Exception | None,
) -> None:
    with suppress(AttributeError):
        object.__delattr__(protocol, "_prefork_transport")
    try:
        lost(error)
    except _RAISED as raised:
        ends.failed(raised)
    finally:
        ends.lost()


def _follow(protocol: asyncio.BaseProtocol, ends: Ends, transport: asyncio.Transport) -> None:
    """Observe the protocol that ``protocol`` has handed its connection over to, if it has."""
    successor = transport.get_protocol()
    if successor is not protocol:
        # One that cannot be observed, as that of TLS, tells the one before it of the end.
        with suppress(AttributeError, TypeError):
            observe(successor, ends)


@functools.cache
def _observed(cls: type[Any]) -> tuple[type[Any], dict[int, Ends]]:
    """Return a subclass of ``cls``, and what is called for each of its instances."""
    all_ends: dict[int, Ends] = {}

    def method(name: str, wrapper: Callable[..., Any]) -> Callable[..., None]:
        original = getattr(cls, name)

        def wrapped(self: Any, argument: Any) -> None:
            ends = all_ends.pop(id(self)) if name == "connection_lost" else all_ends[id(self)]
            wrapper(self, ends, functools.partial(original, self), argument)

        return wrapped

    members: dict[str, Any] = {
        "__slots__": (),
        "connection_made": method("connection_made", _made),
        "connection_lost": method("connection_lost", _lost),
    }
    return type(cls.__name__, (cls,), members), all_ends
