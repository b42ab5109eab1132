"""Telling the kind of a handler from its shape, and refusing what could not be served as it.

Knows the user's object, but neither where it was found nor how it will be called.
"""

import functools
import inspect
import socketserver
import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from prefork.errors import HandlerError


@dataclass(frozen=True, slots=True)
class Kind:
    """What is the same for all handlers of a kind."""

    name: str
    arguments: tuple[str, ...]  #: it is called with these
    event_loop: bool = False  #: a worker holds many units at once, which may last
    datagrams: bool | None = False  #: what it serves; None is datagrams and connections


KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind("stream", ("connection", "address")),
        Kind("asyncio", ("reader", "writer"), event_loop=True),
        Kind("protocol", (), event_loop=True),
        Kind("socketserver", ("request", "client_address", "server"), datagrams=None),
        Kind("datagram", ("data", "address", "reply"), datagrams=True),
        Kind("program", ("worker",), datagrams=None),
    )
}

_POSITIONAL: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)
_SERVED: Final = (
    "served are handle(connection, address), async handle(reader, writer), "
    "handle(data, address, reply), run(worker), and subclasses of asyncio.Protocol and of "
    "socketserver.BaseRequestHandler"
)


def capacity_of(kind: str, threads: int, concurrency: int) -> int:
    """Return how many units a worker of ``kind`` can hold at once."""
    return concurrency if KINDS[kind].event_loop else threads


def check_accept(kind: str, accept: str, name: str, platform: str = sys.platform) -> None:
    """Raise HandlerError when a handler of ``kind`` cannot wait for connections as asked."""
    # On Windows a thread waits in the loop's place.
    cannot = ("blocking",) if platform == "win32" else ("blocking", "mutex")
    if KINDS[kind].event_loop and accept in cannot:
        raise HandlerError(
            f"{name} is of the kind {kind}, whose event loop cannot wait as accept = {accept} "
            "says; auto and exclusive are possible"
        )


def check_addresses(target: object, kind: str, datagrams: Collection[bool], name: str) -> None:
    """Raise HandlerError when a handler of ``kind`` does not serve what its addresses are for.

    ``datagrams`` tells of each address whether it is one for datagrams.
    """
    serves = KINDS[kind].datagrams
    if kind == "socketserver":
        serves = _serves_datagrams(target)
        if serves is None and len(set(datagrams)) > 1:
            raise HandlerError(
                f"{name} cannot serve connections and datagrams at once, whose requests differ"
            )
    if serves is False and True in datagrams:
        raise HandlerError(
            f"{name} is of the kind {kind} and serves connections; an address for datagrams, as "
            "udp:// and unixgram: are, needs a handle(data, address, reply)"
        )
    if serves and False in datagrams:
        raise HandlerError(
            f"{name} is of the kind {kind} and serves datagrams; its addresses are "
            "udp://HOST:PORT and unixgram:PATH"
        )


def _serves_datagrams(target: object) -> bool | None:
    """Tell what a request handler is for; None for one that could be for either."""
    if _is_request_handler(target, socketserver.DatagramRequestHandler):
        return True
    return False if _is_request_handler(target, socketserver.StreamRequestHandler) else None


def kind_of(target: object, name: str, asked: str = "auto") -> str:
    """Return the kind of ``target``: the one ``asked`` for, or, with auto, told from its shape.

    ``name`` is the target's, for messages.  Raises HandlerError when it cannot be told, or when
    the target could not be called as that kind is.
    """
    if not callable(target):
        hint = "; give the class itself" if _is_protocol(type(target)) else ""
        raise HandlerError(
            f"{name} is of the type {type(target).__name__} and cannot be called{hint}"
        )
    parameters = _parameters(target)
    _refuse_foreign(target, parameters, name)
    kind = _told(target, parameters, name) if asked == "auto" else asked
    _check(target, parameters, kind, name)
    return kind


@dataclass(frozen=True, slots=True)
class _Parameters:
    """How an object can be called."""

    text: str  #: as in a definition
    positional: tuple[str, ...]  #: names
    required: int  #: so many of them have no default
    any_number: bool  #: takes further ones, ``*arguments``
    needs_keyword: bool  #: cannot be called by position alone

    def take(self, count: int) -> bool:
        """Tell whether a call with ``count`` positional arguments is possible."""
        enough = count >= self.required and not self.needs_keyword
        return enough and (self.any_number or count <= len(self.positional))


def _parameters(target: object) -> _Parameters | None:
    """Return how ``target`` can be called; None for what does not tell, as some C functions."""
    try:
        signature = inspect.signature(target)  # type: ignore[arg-type]  # it is callable
    except (TypeError, ValueError):
        return None
    parameters = signature.parameters.values()
    positional = [parameter for parameter in parameters if parameter.kind in _POSITIONAL]
    return _Parameters(
        text=str(signature),
        positional=tuple(parameter.name for parameter in positional),
        required=sum(parameter.default is parameter.empty for parameter in positional),
        any_number=any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters),
        needs_keyword=any(
            parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
            for parameter in parameters
        ),
    )


def _refuse_foreign(target: object, parameters: _Parameters | None, name: str) -> None:
    """Raise HandlerError for what is written for another protocol, or another way of running."""
    names = () if parameters is None else parameters.positional
    if "start_response" in names:
        raise HandlerError(f"{name} is a WSGI application, which this version does not serve")
    if names == ("scope", "receive", "send"):
        raise HandlerError(f"{name} is an ASGI application, which this version does not serve")
    if any(
        inspect.isasyncgenfunction(called) or inspect.isgeneratorfunction(called)
        for called in _called(target)
    ):
        raise HandlerError(f"{name} is a generator function; {_SERVED}")


def _is_coroutine_function(target: object) -> bool:
    return any(inspect.iscoroutinefunction(called) for called in _called(target))


def _called(target: object) -> tuple[object, object]:
    """Return what may be the function behind a call: the object itself, or its class's method."""
    function = _inner(target)
    return function, getattr(type(function), "__call__", None)  # noqa: B004  the method


def _told(target: object, parameters: _Parameters | None, name: str) -> str:
    if _is_request_handler(target, socketserver.BaseRequestHandler):
        return "socketserver"
    if _is_protocol(_inner(target)):
        return "protocol"
    if _is_coroutine_function(target):
        return "asyncio"
    if parameters is None:
        raise HandlerError(f"cannot tell the kind of {name}, which hides its arguments; say --kind")
    # A second argument with a default makes no program of it: handle(connection, address=None).
    if parameters.take(2):
        return "stream"
    if parameters.take(1) and parameters.required == 1:
        return "program"
    if parameters.take(3):
        return "datagram"
    if parameters.take(0):
        raise HandlerError(
            f"cannot tell the kind of {name}, which is called without arguments; say "
            "--kind protocol if it returns an asyncio.Protocol, --factory if it returns a handler"
        )
    raise HandlerError(
        f"cannot tell the kind of {name} from its arguments {parameters.text}; "
        f"{_SERVED} (or say --kind)"
    )


def _check(target: object, parameters: _Parameters | None, kind: str, name: str) -> None:
    """Raise HandlerError unless ``target`` can be called as the ``kind`` is."""
    if kind != "socketserver" and _is_request_handler(target, socketserver.BaseRequestHandler):
        raise HandlerError(
            f"{name} cannot be served as {kind}: it is a request handler, of the kind socketserver"
        )
    coroutine = _is_coroutine_function(target)
    if coroutine != (kind == "asyncio") and (coroutine or parameters is not None):
        made = "a coroutine function" if coroutine else "no coroutine function"
        raise HandlerError(f"{name} cannot be served as {kind}: it is {made}")
    if kind == "protocol" and _is_protocol(_inner(target), "DatagramProtocol"):
        raise HandlerError(
            f"{name} cannot be served as protocol: it is one for datagrams, which "
            "handle(data, address, reply) serves"
        )
    if kind != "protocol" and _is_protocol(_inner(target)):
        raise HandlerError(
            f"{name} cannot be served as {kind}: it is an asyncio protocol, of the kind protocol"
        )
    arguments = KINDS[kind].arguments
    if parameters is not None and not parameters.take(len(arguments)):
        raise HandlerError(
            f"{name} cannot be served as {kind}: that is called with ({', '.join(arguments)}), "
            f"and its arguments are {parameters.text}"
        )


def _is_protocol(made: object, base: str = "BaseProtocol") -> bool:
    """Tell whether ``made`` is a class of asyncio protocols, without loading asyncio for it."""
    return isinstance(made, type) and any(
        each.__name__ == base and each.__module__ == "asyncio.protocols" for each in made.__mro__
    )


def _is_request_handler(target: object, base: type) -> bool:
    """Tell whether ``target`` makes instances of ``base``: a subclass, or a partial of one."""
    made = _inner(target)
    return isinstance(made, type) and issubclass(made, base)


def _inner(target: object) -> object:
    while isinstance(target, functools.partial):
        target = target.func
    return target
