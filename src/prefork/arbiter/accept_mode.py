"""How the workers of a server wait for connections: the rule behind ``accept = auto``."""

from prefork.platform.system import System
from prefork.settings import Settings


def accept_mode(settings: Settings, listeners: int) -> str:
    """Return how the workers of ``settings`` accept, with ``auto`` resolved.

    For one listener nothing is cheaper or fairer than to block in accept(2); for several,
    workers must wait for all at once.  That every worker learns of the arbiter's death while it
    blocks needs Linux.  Measured in the decision record on accepting.  A foreign program accepts
    in its own way, and gets listeners that block, as systemd hands them over.
    """
    if settings.facts.foreign_programs:
        return "program"
    if settings.accept != "auto":
        return settings.accept
    if not System.wakes_one:
        return "mutex"
    return "blocking" if listeners == 1 else "exclusive"


def accept_mode_of_kind(mode: str, *, event_loop: bool) -> str:
    """Return how workers of a kind accept where ``mode`` was resolved before it was known.

    A kind with an ``event_loop`` cannot block in accept(2): it waits in the loop's own epoll.
    """
    return "exclusive" if event_loop and mode == "blocking" else mode
