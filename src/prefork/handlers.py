"""What users write: finding the target, and telling its kind from its shape."""

import importlib
import importlib.util
import inspect
import os
import socketserver
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from prefork.errors import HandlerError

#: Tried in this order when the target names no attribute.
ATTRIBUTES: Final = ("app", "application", "handle", "main")

KINDS: Final = ("stream", "socketserver", "program")


@dataclass(frozen=True, slots=True)
class Handler:
    """A loaded target."""

    target: Any  #: the function or class of the user
    kind: str  #: one of KINDS
    name: str  #: ``module:attribute``, for messages


@dataclass(frozen=True, slots=True)
class Target:
    """A target that is imported, but, with ``--factory``, not yet made."""

    attribute: Any
    name: str

    def handler(self, *, factory: bool, kind: str) -> Handler:
        """Call the factory, if it is one, and tell the kind.

        Raises HandlerError when it cannot be told, and whatever the factory raises.
        """
        target = self.attribute() if factory else self.attribute
        return Handler(target, kind_of(target, self.name) if kind == "auto" else kind, self.name)


def load(target: str, *, factory: bool = False, kind: str = "auto") -> Handler:
    """Import ``target``, call its factory if it is one, and tell its kind.

    Raises HandlerError, with the original exception as its cause, when that is not possible.
    """
    loaded = find(target)
    try:
        return loaded.handler(factory=factory, kind=kind)
    except HandlerError:
        raise
    except BaseException as error:
        raise HandlerError(f"the factory {loaded.name} raised {_described(error)}") from error


def find(target: str) -> Target:
    """Import the module of ``target`` and find its attribute.

    ``target`` is ``module:attribute``, ``path/to/file.py:attribute``, or either without the
    attribute.  The current directory is importable.  Raises HandlerError.
    """
    place, _, attribute = target.partition(":")
    _make_importable(Path.cwd())
    module = _module_from_file(Path(place)) if place.endswith(".py") else _module(place)
    if attribute:
        return Target(_attribute(module, place, attribute), f"{place}:{attribute}")
    for name in ATTRIBUTES:
        if hasattr(module, name):
            return Target(getattr(module, name), f"{place}:{name}")
    raise HandlerError(
        f"{place} has none of the attributes {', '.join(ATTRIBUTES)}; "
        f"name the handler as in {place}:my_handler"
    )


def kind_of(target: object, name: str) -> str:
    """Tell the kind of ``target`` from its shape; raises HandlerError when that is not possible."""
    if isinstance(target, type) and issubclass(target, socketserver.BaseRequestHandler):
        return "socketserver"
    if not callable(target):
        raise HandlerError(f"{name} is a {type(target).__name__}, which cannot be called")
    if inspect.iscoroutinefunction(target):
        raise HandlerError(f"{name} is a coroutine function; {_SERVED}")
    match _required_arguments(target, name):
        case 1:
            return "program"
        case 2:
            return "stream"
    raise HandlerError(
        f"cannot tell the kind of {name} from its arguments {inspect.signature(target)}; {_SERVED}"
    )


_SERVED: Final = (
    "served are handle(connection, address), run(worker) and subclasses of "
    "socketserver.BaseRequestHandler (or say --kind)"
)


def _required_arguments(target: Callable[..., Any], name: str) -> int:
    try:
        parameters = inspect.signature(target).parameters.values()
    except ValueError as error:
        raise HandlerError(f"cannot tell the kind of {name}: {error}; say --kind") from error
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(
        parameter.kind in positional and parameter.default is inspect.Parameter.empty
        for parameter in parameters
    )


def _make_importable(directory: Path) -> None:
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))


def _module(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise HandlerError(
            f"{name!r} is neither a module, as in package.module:handle, nor a file, "
            "as in path/to/file.py:handle"
        )
    try:
        return importlib.import_module(name)
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and _is_part_of(error.name, name):
            places = ", ".join(path or os.curdir for path in sys.path)
            raise HandlerError(f"there is no module {error.name!r} in {places}") from error
        raise HandlerError(f"importing {name} raised {_described(error)}") from error


def _is_part_of(missing: str | None, name: str) -> bool:
    """Tell whether the module that was not found is the one asked for, or a package of it."""
    return missing is not None and (name == missing or name.startswith(f"{missing}."))


def _module_from_file(path: Path) -> ModuleType:
    resolved = path.resolve()
    if not resolved.is_file():
        raise HandlerError(f"there is no file {resolved}")
    _make_importable(resolved.parent)
    spec = importlib.util.spec_from_file_location(resolved.stem, resolved)
    assert spec is not None  # every name in .py has a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Before it runs: dataclasses and pickles look their module up by name.
    sys.modules[resolved.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        raise HandlerError(f"importing {path} raised {_described(error)}") from error
    return module


def _attribute(module: ModuleType, place: str, dotted: str) -> Any:
    found: Any = module
    for name in dotted.split("."):
        if not hasattr(found, name):
            offered = ", ".join(n for n in vars(module) if not n.startswith("_"))
            raise HandlerError(f"{place} has no attribute {dotted!r}; it has: {offered or 'none'}")
        found = getattr(found, name)
    return found


def _described(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"SystemExit({error.code!r}): it asked the process to exit"
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
