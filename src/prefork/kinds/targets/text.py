"""A target as text: its module or file, and the attribute in it."""

import ntpath
from pathlib import PurePath, PurePosixPath, PureWindowsPath


def parted(target: str, platform: str) -> tuple[str, str]:
    """Return the module or file that ``target`` names, and the attribute; empty if it names none.

    On Windows the colon of a drive is part of the path: ``C:\\app\\app.py:handle``.
    """
    drive = ""
    if platform == "win32":
        drive, rest = ntpath.splitdrive(target)
        if not rest.startswith(("\\", "/")):
            drive = ""  # a:handle is the module a
    place, _, attribute = target[len(drive) :].partition(":")
    return drive + place, attribute


def is_path(place: str, platform: str) -> bool:
    """Return whether ``place`` can only be a file's path, not a module's name."""
    if platform == "win32":
        return place.lower().endswith(".py") or "/" in place or "\\" in place
    return place.endswith(".py") or "/" in place


def pure_path(place: str, platform: str) -> PurePath:
    """Return ``place`` as a path of ``platform``."""
    return PureWindowsPath(place) if platform == "win32" else PurePosixPath(place)
