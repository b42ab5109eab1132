"""Detects the kind of a target from its shape, and refuses what could not be called as it.

Knows what the kinds declare, but none of them by name.
"""

from collections.abc import Callable
from typing import Final

from prefork.errors import HandlerError
from prefork.kinds import all_kinds, is_kind, kind_named
from prefork.kinds.base import Kind
from prefork.kinds.targets.shape import TargetShape


def kind_of(target: object, name: str, asked: str = "auto") -> Kind:
    """Return the kind of ``target``: the one ``asked`` for, or, with auto, detected from its shape.

    ``name`` is the target's, for messages.  Raises HandlerError when it cannot be detected, or when
    the target could not be called as that kind is.
    """
    if not callable(target):
        hint = "; give the class itself" if _claims(TargetShape(type(target))) else ""
        raise HandlerError(
            f"{name} is of the type {type(target).__name__} and cannot be called{hint}"
        )
    shape = TargetShape(target)
    _refuse_foreign(shape, name)
    kind = _detected(shape, name) if asked == "auto" else kind_named(asked)
    if objection := _objection(shape, kind):
        raise HandlerError(f"{name} cannot be served as {kind.name}: {objection}")
    return kind


def _refuse_foreign(shape: TargetShape, name: str) -> None:
    """Raise HandlerError for what is written for another protocol, or another way of running."""
    for kind, (what, is_one) in _PROTOCOLS.items():
        if is_one(shape) and not is_kind(kind):
            raise HandlerError(f"{name} is {what} application, which this version does not serve")
    if shape.is_generator_function:
        raise HandlerError(f"{name} is a generator function; {_served()}")


#: Protocols that a target can be written for, by the name of the kind that would serve them.
_PROTOCOLS: Final[dict[str, tuple[str, Callable[[TargetShape], bool]]]] = {
    "wsgi": ("a WSGI", lambda shape: "start_response" in shape.names),
    "asgi": ("an ASGI", lambda shape: shape.names == ("scope", "receive", "send")),
}


def _detected(shape: TargetShape, name: str) -> Kind:
    """Return the first kind that ``shape`` matches; raises HandlerError if there is none."""
    for kind in all_kinds():
        if kind.matches(shape):
            return kind
    if shape.parameters is None:
        raise HandlerError(
            f"cannot detect the kind of {name}, which hides its arguments; set --kind"
        )
    if shape.takes(0):
        raise HandlerError(
            f"cannot detect the kind of {name}, which is called without arguments; set "
            "--kind protocol if it returns an asyncio.Protocol, --factory if it returns a handler"
        )
    raise HandlerError(
        f"cannot detect the kind of {name} from its arguments {shape.parameters.text}; "
        f"{_served()} (or set --kind)"
    )


def _objection(shape: TargetShape, kind: Kind) -> str:
    """Return why ``shape`` cannot be served as ``kind``; empty if it can."""
    for other, what in _claims(shape):
        # As in detection: a kind that comes before may take what another one claims.
        comes_before = kind.order < other.order and kind.matches(shape)
        if other is not kind and not comes_before:
            return f"it is {what}, of the kind {other.name}"
    parameters = shape.parameters
    if shape.is_coroutine_function and not kind.coroutine:
        return "it is a coroutine function"
    if kind.coroutine and not shape.is_coroutine_function and parameters is not None:
        return "it is not a coroutine function"
    if objection := kind.objection(shape):
        return objection
    if parameters is not None and not parameters.take(len(kind.arguments)):
        called = ", ".join(kind.arguments)
        return f"that kind is called with ({called}), and its arguments are {parameters.text}"
    return ""


def _claims(shape: TargetShape) -> list[tuple[Kind, str]]:
    """Return which kinds claim a class, and what it is to them; no function is claimed."""
    if not shape.is_class:
        return []
    claims = [(kind, kind.claims(shape)) for kind in all_kinds()]
    return [(kind, what) for kind, what in claims if what]


def _served() -> str:
    """Return the part of a sentence that lists what can be served."""
    examples = [kind.example for kind in reversed(all_kinds()) if not kind.foreign_programs]
    return f"served are {', '.join(examples[:-1])} and {examples[-1]}"
