"""Reports the server's state to the service manager that started us (sd_notify(3)), if any."""

import contextlib
import os
import socket
from collections.abc import MutableMapping


class ServiceManager:
    """systemd, or another one that set NOTIFY_SOCKET; without one nothing is sent.

    The variables are taken out of the environment: they are not for the workers.
    """

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", None)
        interval = os.environ.pop("WATCHDOG_USEC", None)
        pid = os.environ.pop("WATCHDOG_PID", None)
        self._address = "\0" + address[1:] if address and address[0] == "@" else address
        self._reported = ""
        self._next_beat: float | None = None
        self._interval = 0.0
        if self._address and pid in (None, str(os.getpid())):
            # Twice in each period, as the manual advises.
            self._interval = int(interval) / 2e6 if interval and interval.isdecimal() else 0.0
            self._next_beat = 0.0 if self._interval else None

    def report(self, state: str, processes: int) -> None:
        """Report the server's state, when it has changed."""
        if self._address is None or state == self._reported:
            return
        self._reported = state
        words = {"running": "READY=1\n", "stopping": "STOPPING=1\n"}
        self._send(f"{words.get(state, '')}STATUS={state}, {processes} processes")

    def deadline(self) -> float | None:
        """Return when the next message to the watchdog is due."""
        return self._next_beat

    def beat(self, now: float) -> None:
        """Report to the watchdog that the loop runs, if it is time."""
        if self._next_beat is not None and now >= self._next_beat:
            self._send("WATCHDOG=1")
            self._next_beat = now + self._interval

    def _send(self, text: str) -> None:
        assert self._address is not None
        # getattr: where there are no such sockets, there is no address of one either.
        family = getattr(socket, "AF_UNIX", socket.AF_UNSPEC)
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as notifier:
            notifier.setblocking(False)
            notifier.sendto(text.encode(), self._address)


def forget_passed_sockets(environ: MutableMapping[str, str]) -> None:
    """Remove what sd_listen_fds(3) reads: by now the sockets are addresses in the settings."""
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        environ.pop(name, None)
