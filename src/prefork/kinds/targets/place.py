"""Where a module is, as another process can import it."""

import sys
from pathlib import Path
from types import ModuleType

from prefork.errors import HandlerError
from prefork.kinds import outside_kinds
from prefork.kinds.facts import Facts


def facts_of_outside_kinds() -> tuple[Facts, ...]:
    """Return what is known of the users' own kinds, for processes that have not imported them.

    Raises HandlerError for one whose module workers cannot import.
    """
    return tuple(kind.facts(_place_named(module)) for kind, module in outside_kinds())


def place_of(module: ModuleType) -> str:
    """Return ``module`` as workers import it: by name, or by file where no name leads to it.

    Raises HandlerError when there is no such way.
    """
    spec, file = module.__spec__, module.__file__
    if module.__name__ == "__main__" and spec is not None:  # python -m package.module
        return spec.name
    if file is None and module.__name__ == "__main__":
        raise HandlerError("workers cannot import what has no file; put it into a module")
    if file is not None and (module.__name__ == "__main__" or _is_beside_script(module, file)):
        return file
    return module.__name__


def current_directory() -> Path | None:
    """Return where we are; None if that directory has been removed meanwhile."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return None


def _place_named(name: str) -> str:
    module = sys.modules.get(name)
    return name if module is None else place_of(module)


def _is_beside_script(module: ModuleType, file: str) -> bool:
    """Return whether a module is importable here only because the running script is beside it."""
    directory = Path(file).resolve().parent
    # An empty text is the current directory, which is excluded anyway.
    is_first = bool(sys.path and sys.path[0]) and directory == Path(sys.path[0]).resolve()
    is_current = directory == current_directory()
    return "." not in module.__name__ and is_first and not is_current
