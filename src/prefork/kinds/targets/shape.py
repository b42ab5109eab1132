"""How a target looks: its class, and how it can be called.  Calls nothing of it."""

import functools
import inspect
from dataclasses import dataclass
from typing import Any, Final

_POSITIONAL: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)


@dataclass(frozen=True, slots=True)
class Parameters:
    """How an object can be called."""

    text: str  #: as in a definition
    positional: tuple[str, ...]  #: names
    required: int  #: so many of them have no default
    any_number: bool  #: takes further ones, ``*arguments``
    needs_keyword: bool  #: cannot be called by position alone

    def take(self, count: int) -> bool:
        """Return whether a call with ``count`` positional arguments is possible."""
        enough = count >= self.required and not self.needs_keyword
        return enough and (self.any_number or count <= len(self.positional))


class TargetShape:
    """How a target looks that can be called."""

    def __init__(self, target: Any) -> None:
        self.target = target
        self.made = inner(target)
        self.parameters = parameters_of(target)  #: None for what hides them, as some C functions
        self.is_class = isinstance(self.made, type)
        self.is_coroutine_function = any(map(inspect.iscoroutinefunction, self._called()))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the positional arguments."""
        return () if self.parameters is None else self.parameters.positional

    @property
    def required(self) -> int:
        """How many positional arguments have no default."""
        return 0 if self.parameters is None else self.parameters.required

    @property
    def is_generator_function(self) -> bool:
        """Whether a call returns a generator, which does nothing yet."""
        return any(
            inspect.isasyncgenfunction(called) or inspect.isgeneratorfunction(called)
            for called in self._called()
        )

    def takes(self, count: int) -> bool:
        """Return whether a call with ``count`` positional arguments is possible."""
        return self.parameters is not None and self.parameters.take(count)

    def derives_from(self, module: str, name: str) -> bool:
        """Return whether it is a class, or a partial of one, with that base class."""
        return derives_from(self.made, module, name)

    def _called(self) -> tuple[object, object]:
        """Return what may be the function behind a call: itself, or its class's method."""
        return self.made, getattr(type(self.made), "__call__", None)  # noqa: B004  the method


def derives_from(target: object, module: str, name: str) -> bool:
    """Return whether ``target`` makes instances of the class ``name`` of ``module``.

    By name, so that the module need not be imported for the question.
    """
    made = inner(target)
    return isinstance(made, type) and any(
        each.__name__ == name and each.__module__ == module for each in made.__mro__
    )


def inner(target: object) -> object:
    """Return the function or class behind all partials."""
    while isinstance(target, functools.partial):
        target = target.func
    return target


def parameters_of(target: Any) -> Parameters | None:
    """Return how ``target`` can be called; None for what hides it, as some C functions."""
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return None
    parameters = signature.parameters.values()
    positional = [parameter for parameter in parameters if parameter.kind in _POSITIONAL]
    return Parameters(
        text=str(signature),
        positional=tuple(parameter.name for parameter in positional),
        required=sum(parameter.default is parameter.empty for parameter in positional),
        any_number=any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters),
        needs_keyword=any(
            parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
            for parameter in parameters
        ),
    )
