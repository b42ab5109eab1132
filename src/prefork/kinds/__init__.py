"""What can be served: the registry of kinds, which finds ours in this folder.

A kind is a module here, of the same name, whose ``KIND`` declares everything that is known of it.
Each is imported when it is first asked for: an arbiter asks for one, if any.
"""

import os
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prefork.kinds.facts import Facts

if TYPE_CHECKING:
    from prefork.kinds.base import Kind

__all__ = ["HERE", "Facts", "all_kinds", "built_in", "facts_of", "is_kind", "kind_named"]
__all__ += ["offered", "outside_kinds", "register"]

#: The system at hand, where nothing else is asked for.
HERE: Final = sys.platform

#: Letters of a kind's name: so many fit the scoreboard.
LONGEST_NAME: Final = 31

#: Modules here that declare no kind.
_OTHERS: Final = frozenset({"__init__", "base", "facts"})
#: Kinds of foreign programs, which commands of their own serve, not ``--kind``.
_OF_PROGRAMS: Final = frozenset({"command"})
#: The kinds of users' own, with the module that registers each, as workers can import it.
_outside: Final[dict[str, "tuple[Kind, str]"]] = {}


def register(kind: "Kind", module: str = "") -> None:
    """Let ``kind`` be served, too; called while the module that declares it is imported.

    ``module`` is where that is, if not in the module of the function that serves.  The arbiter
    never imports it; mold and workers do before they load the target.
    Raises ValueError for a name that is taken, or that cannot be one.
    """
    if kind.name in built_in() or kind.name == "auto":
        raise ValueError(f"there is a kind {kind.name} already")
    if not (kind.name.isidentifier() and kind.name.islower() and len(kind.name) <= LONGEST_NAME):
        raise ValueError(
            f"a kind cannot be called {kind.name!r}: at most {LONGEST_NAME} small letters, digits "
            "and underscores, the first one no digit"
        )
    _outside[kind.name] = (kind, module or kind.serve.__module__)


def kind_named(name: str) -> "Kind":
    """Return the kind ``name``, ours or a registered one; raises KeyError if there is none."""
    if name in _outside:
        return _outside[name][0]
    if name not in built_in():
        raise KeyError(name)
    return _imported(name)


def is_kind(name: str) -> bool:
    """Return whether there is a kind ``name``; imports none."""
    return name in _outside or name in built_in()


def facts_of(name: str, outside: Iterable[Facts] = ()) -> Facts:
    """Return what is known of the kind ``name`` without the code of any user.

    ``outside`` are the facts of users' own kinds, as the settings carry them.  Of ``auto``, and
    until a worker has reported the kind, it returns what holds for most kinds.
    """
    for facts in outside:
        if facts.name == name:
            return facts
    return _imported(name).facts() if name in built_in() else Facts(name=name)


def all_kinds() -> "list[Kind]":
    """Return all kinds, in the order in which they are asked whether a target is theirs."""
    ours = [_imported(name) for name in built_in()]
    theirs = [kind for kind, _ in _outside.values()]
    return sorted([*theirs, *ours], key=lambda kind: kind.order)


def offered() -> tuple[str, ...]:
    """Return the names that ``--kind`` takes, but for ``auto``; imports no kind."""
    return tuple(sorted((built_in() | _outside.keys()) - _OF_PROGRAMS))


def outside_kinds() -> "list[tuple[Kind, str]]":
    """Return the users' own kinds, each with the module that registers it."""
    return list(_outside.values())


@cache
def built_in() -> frozenset[str]:
    """Return the names of our own kinds: one for each module of this folder."""
    files = (entry.partition(".") for entry in os.listdir(Path(__file__).parent))  # noqa: PTH208
    return frozenset(name for name, _, suffix in files if suffix == "py") - _OTHERS


def _imported(name: str) -> "Kind":
    # Not importlib.import_module, which an arbiter would import for this alone.
    module = __import__(f"prefork.kinds.{name}", fromlist=["KIND"])
    kind: Kind = module.KIND
    return kind
