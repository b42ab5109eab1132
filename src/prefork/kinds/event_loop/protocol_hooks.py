"""Calls us when the connection of a user's protocol begins, ends, or fails."""

import asyncio
import functools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

#: What the user's code may raise; asyncio would end the loop for the last two.
_RAISED: Final = (Exception, SystemExit, KeyboardInterrupt)


@dataclass(slots=True)
class Hooks:
    """What is called for one connection, whatever its protocol does."""

    failed: Callable[[BaseException], None]  #: a method has raised; the connection is closed
    lost: Callable[[], None]  #: after ``connection_lost``
    transport: asyncio.Transport | None = None  #: from ``connection_made`` to ``connection_lost``


def observe(protocol: asyncio.BaseProtocol, hooks: Hooks) -> None:
    """Have ``hooks`` called for ``protocol``, and for one that takes its place.

    asyncio would keep a connection open and unanswered whose protocol refuses it by an exception,
    and end the loop, with all other connections, for a SystemExit.  A protocol with ``__slots__``
    takes no attributes; then its class is replaced by a subclass that differs in this alone.
    Raises TypeError or AttributeError for one that allows neither.
    """
    methods = {
        name: functools.partial(wrapper, protocol, hooks, getattr(protocol, name))
        for name, wrapper in _wrappers(type(protocol)).items()
    }
    try:
        for name, method in methods.items():
            object.__setattr__(protocol, name, method)  # also of a frozen dataclass
    except AttributeError:
        cls, all_hooks = _observed(type(protocol))  # type: ignore[arg-type]  # hashable
        object.__setattr__(protocol, "__class__", cls)
        all_hooks[id(protocol)] = hooks


def _wrappers(cls: type[asyncio.BaseProtocol]) -> dict[str, Callable[..., None]]:
    data = "buffer_updated" if issubclass(cls, asyncio.BufferedProtocol) else "data_received"
    return {"connection_made": _made, "connection_lost": _lost, data: _received}


def _made(
    protocol: asyncio.BaseProtocol,
    hooks: Hooks,
    made: Callable[[Any], None],
    transport: asyncio.Transport,
) -> None:
    hooks.transport = transport
    _call(protocol, hooks, made, transport)


def _received(
    protocol: asyncio.BaseProtocol, hooks: Hooks, received: Callable[[Any], None], data: Any
) -> None:
    _call(protocol, hooks, received, data)


def _call(
    protocol: asyncio.BaseProtocol, hooks: Hooks, method: Callable[[Any], None], argument: Any
) -> None:
    transport = hooks.transport
    try:
        method(argument)
    except _RAISED as error:
        hooks.failed(error)
        if transport is not None:
            transport.abort()
        return
    successor = protocol if transport is None else transport.get_protocol()
    if successor is not protocol:
        # It has handed its connection over.  A protocol that cannot be observed, as that of TLS,
        # reports the end to the one before it.
        with suppress(AttributeError, TypeError):
            observe(successor, hooks)


def _lost(
    protocol: asyncio.BaseProtocol,
    hooks: Hooks,
    lost: Callable[[Exception | None], None],
    error: Exception | None,
) -> None:
    del protocol
    hooks.transport = None
    try:
        lost(error)
    except _RAISED as raised:
        hooks.failed(raised)
    finally:
        hooks.lost()


@functools.cache
def _observed(cls: type[Any]) -> tuple[type[Any], dict[int, Hooks]]:
    """Return a subclass of ``cls``, and what is called for each of its instances, by its id."""
    all_hooks: dict[int, Hooks] = {}

    def method(name: str, wrapper: Callable[..., None]) -> Callable[..., None]:
        original = getattr(cls, name)

        def wrapped(self: Any, argument: Any) -> None:
            hooks = all_hooks.pop(id(self)) if wrapper is _lost else all_hooks[id(self)]
            wrapper(self, hooks, functools.partial(original, self), argument)

        return wrapped

    members = {name: method(name, wrapper) for name, wrapper in _wrappers(cls).items()}
    return type(cls.__name__, (cls,), {"__slots__": (), **members}), all_hooks
