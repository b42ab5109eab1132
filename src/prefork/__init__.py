"""prefork: many processes on one socket, a dynamic pool, a parent that watches every worker.

The names below are the public interface; everything else may change.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from prefork.errors import (
        ControlError,
        HandlerError,
        ListenError,
        PreforkError,
        ProtocolError,
        SettingsError,
    )
    from prefork.launch.python import serve
    from prefork.worker.context import WorkerContext

__version__: Final = "0.1.0"

__all__ = [
    "ControlError",
    "HandlerError",
    "ListenError",
    "PreforkError",
    "ProtocolError",
    "SettingsError",
    "WorkerContext",
    "__version__",
    "serve",
]

# Looked up when asked for: the arbiter and its workers import this package too, and must not
# carry what only the command line and scripts need.
_HOMES: Final = {
    **dict.fromkeys((name for name in __all__ if name.endswith("Error")), "prefork.errors"),
    "WorkerContext": "prefork.worker.context",
    "serve": "prefork.launch.python",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'prefork' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
