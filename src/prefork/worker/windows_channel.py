"""The worker's end of its channel on Windows: a thread reads it."""

import contextlib
import socket
import threading
from collections.abc import Callable

from prefork.ipc import messages
from prefork.platform.windows.api import Event
from prefork.platform.windows.child import TASKS


class WindowsChannel:
    """Reads the arbiter's bytes: DRAIN, or the end of the stream when the arbiter is gone.

    No signal could wake a worker that waits in a system call; but every wait for a connection can
    wait for ``stop`` as well.
    """

    def __init__(self, sock: socket.socket, leave: Callable[[], object]) -> None:
        """Have ``leave`` called, in a thread, when this worker is to take no more."""
        self.socket = sock
        self.stop = Event.create()  #: set when it is time to leave
        self.leaving = False  #: take no more
        self.orphaned = False  #: the arbiter is gone
        self.when_asked_for_tasks: Callable[[], object] = lambda: None
        self._leave = leave
        self._thread = threading.Thread(target=self._read_all, name="channel", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def read(self) -> None:
        """Do nothing: the thread reads all the time."""

    def send(self, message: messages.Message) -> None:
        """Send ``message`` to the arbiter; lost when there is none any more."""
        with contextlib.suppress(OSError):
            self.socket.sendall(messages.encode(message))

    def finish(self) -> None:
        """Send no more; otherwise the system would reset the connection at our end.

        And with it what the arbiter has not yet read would be lost.
        """
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def _read_all(self) -> None:
        while not self.orphaned:
            try:
                data = self.socket.recv(64)
            except OSError:
                data = b""
            self.orphaned = not data
            if TASKS in data:
                # In a thread: what goes wrong with it must not end our reading.
                threading.Thread(
                    target=self.when_asked_for_tasks, name="tasks", daemon=True
                ).start()
            if self.orphaned or messages.DRAIN in data:
                self._begin_to_leave()

    def _begin_to_leave(self) -> None:
        if not self.leaving:
            self.leaving = True
            self.stop.set()
            self._leave()
