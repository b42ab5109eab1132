"""Telling the kind of a handler from its shape, and refusing what could not be served as it.

Knows the user's object, but neither where it was found nor how it will be called.
"""

import functools
import inspect
import socketserver
from dataclasses import dataclass
from typing import Final

from prefork.errors import HandlerError

#: What a handler of each kind is called with.
ARGUMENTS: Final = {
    "stream": ("connection", "address"),
    "socketserver": ("request", "client_address", "server"),
    "program": ("worker",),
}

_POSITIONAL: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)
_SERVED: Final = (
    "served are handle(connection, address), run(worker) and subclasses of "
    "socketserver.BaseRequestHandler"
)


def kind_of(target: object, name: str, asked: str = "auto") -> str:
    """Return the kind of ``target``: the one ``asked`` for, or, with auto, told from its shape.

    ``name`` is the target's, for messages.  Raises HandlerError when it cannot be told, or when
    the target could not be called as that kind is.
    """
    if not callable(target):
        raise HandlerError(f"{name} is of the type {type(target).__name__} and cannot be called")
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
    if _is_request_handler(target, socketserver.DatagramRequestHandler):
        raise HandlerError(
            f"{name} is a handler of datagrams, and only streams are served; "
            "socketserver.StreamRequestHandler is the one for them"
        )
    if does := _merely_returns(target):
        raise HandlerError(f"{name} is {does}; {_SERVED}")


def _merely_returns(target: object) -> str:
    """Return what is wrong with a function whose body does not run when it is called."""
    function = _inner(target)
    for called in (function, getattr(type(function), "__call__", None)):  # noqa: B004  the method
        if inspect.iscoroutinefunction(called):
            return "a coroutine function"
        if inspect.isasyncgenfunction(called) or inspect.isgeneratorfunction(called):
            return "a generator function"
    return ""


def _told(target: object, parameters: _Parameters | None, name: str) -> str:
    if _is_request_handler(target, socketserver.BaseRequestHandler):
        return "socketserver"
    if parameters is None:
        raise HandlerError(f"cannot tell the kind of {name}, which hides its arguments; say --kind")
    # A second argument with a default makes no program of it: handle(connection, address=None).
    if parameters.take(2):
        return "stream"
    if parameters.take(1) and parameters.required == 1:
        return "program"
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
    arguments = ARGUMENTS[kind]
    if parameters is not None and not parameters.take(len(arguments)):
        raise HandlerError(
            f"{name} cannot be served as {kind}: that is called with ({', '.join(arguments)}), "
            f"and its arguments are {parameters.text}"
        )


def _is_request_handler(target: object, base: type) -> bool:
    """Tell whether ``target`` makes instances of ``base``: a subclass, or a partial of one."""
    made = _inner(target)
    return isinstance(made, type) and issubclass(made, base)


def _inner(target: object) -> object:
    while isinstance(target, functools.partial):
        target = target.func
    return target
