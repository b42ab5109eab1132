"""What users write: finding the target, by the name of its module or file, and making it."""

import importlib
import importlib.util
import os
import stat
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from prefork.errors import HandlerError
from prefork.kinds import HERE, Facts
from prefork.kinds.base import Kind
from prefork.kinds.targets.detection import kind_of
from prefork.kinds.targets.place import current_directory
from prefork.kinds.targets.text import is_path, parted

#: Tried in this order when the target names no attribute.
ATTRIBUTES: Final = ("app", "application", "handle", "main")


@dataclass(frozen=True, slots=True)
class LoadedHandler:
    """A loaded target."""

    target: Any  #: the function or class of the user
    kind: Kind
    name: str  #: ``module:attribute``, for messages


@dataclass(frozen=True, slots=True)
class Target:
    """A target that is imported, but, with ``--factory``, not yet made."""

    attribute: Any
    name: str

    def handler(self, *, factory: bool, kind: str) -> LoadedHandler:
        """Call the factory, if it is one, and detect the kind, or check the one given.

        Raises HandlerError when it is of no kind or not of that one, and whatever the factory
        raises.
        """
        if factory and not callable(self.attribute):
            raise HandlerError(
                f"{self.name} is of the type {type(self.attribute).__name__} and is no factory"
            )
        target = self.attribute() if factory else self.attribute
        return LoadedHandler(target, kind_of(target, self.name, kind), self.name)


def load(target: str, *, factory: bool = False, kind: str = "auto") -> LoadedHandler:
    """Import ``target``, call its factory if it is one, and detect its kind.

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
    place, attribute = parted(target, HERE)
    if (here := current_directory()) is not None:
        _make_importable(here)
    module = _module_at(place)
    if attribute:
        return Target(_attribute(module, place, attribute), f"{place}:{attribute}")
    for name in ATTRIBUTES:
        if hasattr(module, name):
            return Target(getattr(module, name), f"{place}:{name}")
    raise HandlerError(
        f"{place} has none of the attributes {', '.join(ATTRIBUTES)}; "
        f"name the handler as in {place}:my_handler"
    )


def import_kinds(outside: Iterable[Facts]) -> None:
    """Import what registers the users' own kinds; raises HandlerError if that cannot be."""
    for facts in outside:
        if (here := current_directory()) is not None:
            _make_importable(here)
        _module_at(facts.module)


def _make_importable(directory: Path) -> None:
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))


def _module_at(place: str) -> ModuleType:
    """Import ``place``, the name of a module or the path of a file."""
    if is_path(place, HERE):
        return _module_from_file(Path(place))
    if all(part.isidentifier() for part in place.split(".")):
        return _module(place)
    if place and os.path.lexists(place):
        return _module_from_file(Path(place))
    raise HandlerError(
        f"{place!r} is neither a module, as in package.module:handle, nor a file, "
        "as in path/to/file.py:handle"
    )


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except BaseException as error:
        if not (isinstance(error, ModuleNotFoundError) and _is_part_of(error.name, name)):
            raise HandlerError(f"importing {name} raised {_described(error)}") from error
        missing = error
    # A script need not be called .py; but what is a module, too, is the module.
    if Path(name).is_file():
        return _module_from_file(Path(name))
    places = ", ".join(path or os.curdir for path in sys.path)
    raise HandlerError(f"there is no module {missing.name!r} in {places}") from missing


def _is_part_of(missing: str | None, name: str) -> bool:
    """Return whether the module that was not found is the one asked for, or a package of it."""
    return missing is not None and (name == missing or name.startswith(f"{missing}."))


def _module_from_file(path: Path) -> ModuleType:
    resolved = _readable_file(path)
    _make_importable(resolved.parent)
    # Named, because a name that does not end in .py leads the import system to no loader.
    loader = SourceFileLoader(resolved.stem, str(resolved))
    spec = importlib.util.spec_from_file_location(resolved.stem, resolved, loader=loader)
    assert spec is not None  # there is a loader
    module = importlib.util.module_from_spec(spec)
    # Before it runs: dataclasses and pickles look their module up by name.
    sys.modules[resolved.stem] = module
    try:
        loader.exec_module(module)
    except BaseException as error:
        raise HandlerError(f"importing {path} raised {_described(error)}") from error
    return module


def _readable_file(path: Path) -> Path:
    """Return ``path`` made absolute; raises HandlerError unless a file is there for us to read."""
    where = path
    try:
        where = path.resolve()
        mode = where.stat().st_mode
        if stat.S_ISDIR(mode):
            raise HandlerError(
                f"{where} is a directory; name a file in it, as in {path / 'app.py'}:handle"
            )
        if not stat.S_ISREG(mode):
            raise HandlerError(f"{where} is not a regular file")
        with where.open("rb"):
            return where
    except (FileNotFoundError, NotADirectoryError):
        raise HandlerError(f"there is no file {where}") from None
    except OSError as error:
        raise HandlerError(f"the file {where} cannot be read: {error.strerror}") from None


def _attribute(module: ModuleType, place: str, dotted: str) -> Any:
    found: Any = module
    try:
        for name in dotted.split("."):
            found = getattr(found, name)
    except AttributeError:
        offered = ", ".join(n for n in vars(module) if not n.startswith("_"))
        raise HandlerError(
            f"{place} has no attribute {dotted!r}; it has: {offered or 'none'}"
        ) from None
    except BaseException as error:  # a __getattr__ of the module, or a property
        raise HandlerError(f"reading {place}:{dotted} raised {_described(error)}") from error
    return found


def _described(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"SystemExit({error.code!r}): it asked the process to exit"
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
