"""Names that are not settings: what to report about a mistyped or a foreign one."""

import difflib
from collections.abc import Iterable
from typing import Final

#: Known from other servers, or planned; to accept them without effect would mislead users.
NOT_OFFERED: Final = frozenset(
    {
        "access-log",
        "admin",
        "ca-certs",
        "certfile",
        "forwarded-allow-ips",
        "keep-alive",
        "keyfile",
        "max-lifetime",
        "max-lifetime-jitter",
        "max-memory",
        "max-requests",
        "max-requests-jitter",
        "proxy-protocol",
        "reload",
    }
)


def similar(name: str, known: Iterable[str]) -> str | None:
    """Return the one of ``known`` that was probably meant by ``name``, if any."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.7)), None)


def meant(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown ``name``: "; did you mean …?", or nothing."""
    guess = similar(name, known)
    return f"; did you mean {guess}?" if guess else ""
