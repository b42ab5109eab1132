"""The placeholders in a program's arguments: ``{fd}``, ``{fd:N}``, ``{port}`` and ``{slot}``.

Knows no descriptor and no process.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

#: Exactly these; all other braces are the program's own.
_PLACEHOLDER: Final = re.compile(r"\{(?P<name>fd|port|slot)\}|\{fd:(?P<index>[0-9]{1,9})\}")


@dataclass(frozen=True, slots=True)
class Values:
    """What the placeholders stand for in one worker."""

    fds: Sequence[int]  #: of the addresses, in their order
    port: int | None  #: of the first address that has one
    slot: int


def filled(argument: str, values: Values) -> str:
    """Return ``argument`` with each placeholder replaced."""

    def value(match: re.Match[str]) -> str:
        match match["name"]:
            case "fd":
                return str(values.fds[0])
            case "port":
                return str(values.port)
            case "slot":
                return str(values.slot)
        return str(values.fds[int(match["index"])])

    return _PLACEHOLDER.sub(value, argument)


def names_descriptors(arguments: Sequence[str]) -> bool:
    """Return whether some argument names a descriptor."""
    found = (match for argument in arguments for match in _PLACEHOLDER.finditer(argument))
    return any(match["name"] in ("fd", None) for match in found)


def unknown(arguments: Sequence[str], addresses: int, *, has_port: bool) -> Iterator[str]:
    """Yield a sentence for each placeholder that stands for nothing with so many ``addresses``."""
    for argument in arguments:
        for match in _PLACEHOLDER.finditer(argument):
            index = match["index"]
            if index is not None and int(index) >= addresses:
                count = "is only one address" if addresses == 1 else f"are only {addresses}"
                yield (
                    f"the argument {argument!r} names an address by {match[0]}, but there "
                    f"{count}; the first is {{fd:0}}"
                )
            elif match["name"] == "port" and not has_port:
                yield f"the argument {argument!r} names a port, but no address has one"
