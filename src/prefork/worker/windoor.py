"""Shutting a listener's door from inside, at the server's end (Windows).

When its last handle closes, whoever is queued at a listener is reset.  A system that can refuse
clients before that (``doors.refuse_connections``) leaves nothing to do here.  Otherwise the queue
has been cut to one place (``listen(0)``), and who finds it empty takes that place himself: from
then on no client gets in, and each is refused when the listener closes.
"""

# ruff: noqa: E402  (checkers on other systems pass over what follows the assertion)

import sys

assert sys.platform == "win32"

import select
import socket
from contextlib import suppress
from typing import Final

from prefork.doors import is_refusing
from prefork.scoreboard import (
    H_STATE,
    H_USED,
    R_STATE,
    SERVER_STATES,
    STATES,
    W_LEAVING,
    Scoreboard,
)

#: Seconds for a connection to ourselves; it takes less than a hundredth of that.
_PATIENCE: Final = 0.01
_SHUT: Final = 2  #: in W_LEAVING of who has left and shut the door
_LIVING: Final = tuple(map(STATES.index, ("starting", "ready", "draining")))
_STOPPING: Final = SERVER_STATES.index("stopping")


class Door:
    """The listeners' door, which the last worker to leave has to shut."""

    def __init__(self, board: Scoreboard, slot: int) -> None:
        self._header = board.header
        self._leaving = board.column(W_LEAVING)
        self._states = board.record_column(R_STATE)
        self._slot = slot
        self._plugs: dict[socket.socket, socket.socket] = {}  # kept open as long as we live

    @property
    def is_ours(self) -> bool:
        """Whether the server ends, and nobody else takes clients or has shut the door.

        Only the accept mutex's owner can tell: then who is to leave takes no more turn.
        """
        if self._header[H_STATE] != _STOPPING:
            return False
        leaving = self._leaving[: self._header[H_USED]].tolist()
        return _SHUT not in leaving and not any(
            state in _LIVING and not leaves and slot != self._slot
            for slot, (state, leaves) in enumerate(zip(self._states, leaving, strict=False))
        )

    def shut(self, listener: socket.socket) -> bool:
        """Shut ``listener``, which nobody waits at; tell whether that has succeeded.

        It has not when a client was faster.  Only the accept mutex's owner may try.
        """
        if listener in self._plugs or listener.type == socket.SOCK_DGRAM or is_refusing(listener):
            return True
        plug = socket.socket(listener.family)
        plug.setblocking(False)
        with suppress(BlockingIOError):
            plug.connect(_reachable(listener))
        if not select.select([], [plug], [], _PATIENCE)[1]:
            plug.close()
            return False
        self._plugs[listener] = plug
        return True

    def leave(self) -> None:
        """Note that all listeners are shut."""
        self._leaving[self._slot] = _SHUT


def _reachable(listener: socket.socket) -> tuple[str, int]:
    host, port = listener.getsockname()[:2]
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port
