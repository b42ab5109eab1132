"""Which tests, and which of their cases, run on which system.

A test, or its module, is marked ``windows`` when what it says holds there, too: then ``--wine``
runs it on Windows.  Cases of it that exist elsewhere only are ``posix``.
"""

import pytest
from _pytest.mark.structures import ParameterSet


def on_posix(*values: object) -> ParameterSet:
    """Return the case ``values`` of a test, which does not exist on Windows."""
    return pytest.param(*values, marks=pytest.mark.posix)


def on_windows(*values: object) -> ParameterSet:
    """Return the case ``values`` of a test, which exists on Windows only."""
    return pytest.param(*values, marks=pytest.mark.windows_only)


each_accept = pytest.mark.parametrize(
    "accept", [on_posix("blocking"), on_posix("exclusive"), "mutex"]
)
each_method = pytest.mark.parametrize("start_method", [on_posix("fork"), "spawn"])


def runs_here(item: pytest.Item, *, wine: bool) -> bool:
    """Tell whether a test is one for the system at hand, which is Windows with ``wine``."""
    marks = {mark.name for mark in item.iter_markers()}
    if wine:
        return "windows" in marks and "posix" not in marks
    return "windows_only" not in marks
