"""A function as the text by which another process finds it."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType, ModuleType

from prefork.errors import HandlerError
from prefork.kinds import targets as handlers


def target_text(target: str | Callable[..., object]) -> str:
    """Return ``target`` as ``module:name`` or ``path/to/file.py:name``.

    Raises HandlerError when no other process could import it by that, and when the target is
    being imported just now: a script that serves itself without asking for its ``__name__``
    would start a server in each of its workers, and so on.
    """
    _refuse_while_importing()
    if isinstance(target, str):
        return target
    name = getattr(target, "__qualname__", "")
    module = sys.modules.get(getattr(target, "__module__", None) or "")
    if not name or module is None:
        raise HandlerError(
            f"{target!r} has no name that workers could import; give a function or class of a "
            "module, or its name as text"
        )
    if _found(module, name) is not target:
        raise HandlerError(
            f"workers cannot import {name} of {module.__name__}: it is not what the module has "
            "by that name; give a function or class of the module's top level"
        )
    return f"{_place(module)}:{name}"


def _refuse_while_importing() -> None:
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == handlers.__name__:
            raise HandlerError(
                "serve() is called while the target is imported; put the call under "
                'if __name__ == "__main__":'
            )
        frame = frame.f_back


def _found(module: ModuleType, name: str) -> object:
    found: object = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _place(module: ModuleType) -> str:
    """Return the module as workers import it: by name, or by file where no name leads to it."""
    spec, file = module.__spec__, module.__file__
    if module.__name__ == "__main__" and spec is not None:  # python -m package.module
        return spec.name
    if file is None and module.__name__ == "__main__":
        raise HandlerError("workers cannot import what has no file; put it into a module")
    if file is not None and (module.__name__ == "__main__" or _is_beside_script(module, file)):
        return file
    return module.__name__


def _is_beside_script(module: ModuleType, file: str) -> bool:
    """Tell whether a module is importable here only because the running script is beside it."""
    directory = Path(file).resolve().parent
    # An empty text is the current directory, which is excluded anyway.
    is_first = bool(sys.path and sys.path[0]) and directory == Path(sys.path[0]).resolve()
    is_current = directory == handlers.current_directory()
    return "." not in module.__name__ and is_first and not is_current
