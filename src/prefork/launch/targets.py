"""A function as the text by which another process finds it."""

import sys
from collections.abc import Callable
from types import FrameType, ModuleType

from prefork.errors import HandlerError
from prefork.kinds.targets import finding
from prefork.kinds.targets.place import place_of


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
    return f"{place_of(module)}:{name}"


def _refuse_while_importing() -> None:
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == finding.__name__:
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
