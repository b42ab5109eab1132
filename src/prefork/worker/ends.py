"""Hearing how the connection of a user's protocol begins and ends."""

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Ends:
    """What is called at the ends of a connection, whatever its protocol does there."""

    refused: Callable[[Exception], None]  #: ``connection_made`` has raised; ``lost`` follows
    lost: Callable[[], None]  #: after ``connection_lost``


def observe(protocol: asyncio.BaseProtocol, ends: Ends) -> None:
    """Have ``ends`` called for ``protocol``.

    A connection that its protocol refuses by an exception is closed: asyncio would keep it open
    and unanswered.  A protocol with ``__slots__`` takes no attributes; then its class is replaced
    by a subclass that differs in this alone.  Raises TypeError for one that allows neither.
    """
    made, lost = protocol.connection_made, protocol.connection_lost
    try:
        protocol.connection_made = functools.partial(_made, ends, made)  # type: ignore[method-assign]
        protocol.connection_lost = functools.partial(_lost, ends, lost)  # type: ignore[method-assign]
    except AttributeError:
        observed, all_ends = _observed(type(protocol))  # type: ignore[arg-type]  # hashable
        protocol.__class__ = observed
        all_ends[id(protocol)] = ends


def _made(
    ends: Ends, made: Callable[[asyncio.BaseTransport], None], transport: asyncio.Transport
) -> None:
    try:
        made(transport)
    except Exception as error:  # noqa: BLE001 (the user's protocol)
        ends.refused(error)
        transport.abort()


def _lost(ends: Ends, lost: Callable[[Exception | None], None], error: Exception | None) -> None:
    try:
        lost(error)
    finally:
        ends.lost()


@functools.cache
def _observed(cls: type[Any]) -> tuple[type[Any], dict[int, Ends]]:
    """Return a subclass of ``cls``, and what is called for each of its instances."""
    all_ends: dict[int, Ends] = {}

    def connection_made(self: Any, transport: asyncio.Transport) -> None:
        _made(all_ends[id(self)], functools.partial(cls.connection_made, self), transport)

    def connection_lost(self: Any, error: Exception | None) -> None:
        _lost(all_ends.pop(id(self)), functools.partial(cls.connection_lost, self), error)

    members = {
        "__slots__": (),
        "connection_made": connection_made,
        "connection_lost": connection_lost,
    }
    return type(cls.__name__, (cls,), members), all_ends
