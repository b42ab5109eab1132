"""Quiescing listeners from within a worker, at the server's end (Windows).

When its last handle closes, the connections queued at a listener are reset.  A system that can
refuse clients before that (``sockets.windows``) leaves nothing to do here.  Otherwise the queue has
been cut to one place (``listen(0)``), and a worker that finds it empty takes that place itself:
from then on no client can connect, and each is refused when the listener closes.
"""

import select
import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Final

from prefork.ipc.layout import Record, Row
from prefork.ipc.scoreboard import Scoreboard
from prefork.sockets.windows import is_refusing

#: Seconds for a connection to ourselves; it takes less than a hundredth of that.
_PATIENCE: Final = 0.01
_LEAVING, _SHUT = 1, 2  #: in a row's ``leaving``: it takes no more; it has quiesced, too
_LIVING: Final = tuple(map(Record.state.number, ("starting", "ready", "draining")))


class Quiesce:
    """The listeners, which the last worker to leave has to quiesce."""

    def __init__(
        self, scoreboard: Scoreboard, slot: int, listeners: Sequence[socket.socket]
    ) -> None:
        """Shut ``listeners``, which end with this server."""
        self._listeners = listeners
        self._scoreboard = scoreboard
        self._leaving = scoreboard.column(Row.leaving)
        self._states = scoreboard.column(Record.state)
        self._slot = slot
        self._plugs: dict[socket.socket, socket.socket] = {}  # kept open as long as we live

    @property
    def may_be_ours(self) -> bool:
        """Whether the server ends, and no worker has quiesced yet."""
        leaving = self._leaving[: len(self._scoreboard.used_slots)].tolist()
        ends = self._scoreboard.header.state == "stopping"
        return ends and _SHUT not in leaving and bool(self._listeners)

    @property
    def is_ours(self) -> bool:
        """Whether, in addition, no other worker takes clients any more.

        Only the accept mutex's owner can know: then a worker that is to leave does not wait for
        the mutex again.
        """
        # Of two that look at the same time, each sees that the other one leaves.
        self._leaving[self._slot] = _LEAVING
        if not self.may_be_ours:
            return False
        leaving = self._leaving[: len(self._scoreboard.used_slots)].tolist()
        return not any(
            state in _LIVING and not leaves
            for state, leaves in zip(self._states, leaving, strict=False)
        )

    @property
    def open_ones(self) -> list[socket.socket]:
        """The listeners at which others than we ourselves may wait."""
        return [listener for listener in self._listeners if listener not in self._plugs]

    def shut(self) -> None:
        """Shut all listeners, if no client is faster; then the next turn is for that one.

        Only the accept mutex's owner may try.
        """
        if all([self._shut(listener) for listener in self.open_ones]):
            self._leaving[self._slot] = _SHUT

    def _shut(self, listener: socket.socket) -> bool:
        if listener.type == socket.SOCK_DGRAM or is_refusing(listener):
            return True
        with ExitStack() as unwanted:
            plug = unwanted.enter_context(socket.socket(listener.family))
            plug.setblocking(False)
            with suppress(OSError):  # under way; or not possible, as will be seen
                plug.connect(_reachable(listener))
            if select.select([], [plug], [], _PATIENCE)[1]:
                unwanted.pop_all()
                self._plugs[listener] = plug
        return listener in self._plugs


def _reachable(listener: socket.socket) -> tuple[str | int, ...]:
    """Return where a client of this machine finds ``listener``."""
    host, *rest = listener.getsockname()
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), *rest
