"""Which event loop runs the handlers of kinds that need one, and whether it can be had."""

from typing import TYPE_CHECKING, Any, Final

from prefork.errors import HandlerError
from prefork.kinds import HERE

if TYPE_CHECKING:
    from prefork.kinds.base import KindSettings

#: The most connections that fit Windows' select(), which takes 512 sockets: the loop has one of
#: its own, and handlers may have some.
SELECTABLE: Final = 500


def check_loop(settings: "KindSettings") -> Any:
    """Raise HandlerError unless the loop in ``settings`` can be had, and holds so many.

    Returns the module uvloop where it is the one.
    """
    uvloop = load_uvloop(settings.loop)
    if settings.loop == "selector" and settings.concurrency > SELECTABLE:
        raise HandlerError(
            f"loop = selector holds at most {SELECTABLE} connections, fewer than concurrency = "
            f"{settings.concurrency}; loop = proactor holds any number"
        )
    return uvloop


def load_uvloop(asked: str, platform: str = HERE) -> Any:
    """Return the module uvloop, or None where another loop is ``asked`` for, or it is not there.

    Raises HandlerError when no other may take its place, or when the loop is not of this system.
    """
    if platform == "win32":
        if asked == "uvloop":
            raise HandlerError("loop = uvloop cannot be had: there is none for Windows; set auto")
    elif asked in ("proactor", "selector"):
        raise HandlerError(f"loop = {asked} is one of Windows; here are asyncio and uvloop")
    elif asked != "asyncio":
        return _imported_uvloop(asked)
    return None


def _imported_uvloop(asked: str) -> Any:
    try:
        return __import__("uvloop")
    except ImportError as error:
        if asked == "auto":
            return None
        raise HandlerError(
            f"loop = uvloop cannot be had: {error}; pip install 'prefork[uvloop]' installs it"
        ) from None
