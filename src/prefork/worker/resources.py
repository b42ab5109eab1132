"""Selects the system's version of what a worker stands on: the only place here that asks for it."""

import sys

if sys.platform == "win32":
    from prefork.worker.windows_resources import Resources, apply_settings, inheritance
else:
    from prefork.worker.environment import apply_settings
    from prefork.worker.posix_resources import Resources, inheritance

__all__ = ["Resources", "apply_settings", "inheritance"]
