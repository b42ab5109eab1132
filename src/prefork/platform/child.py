"""What the arbiter holds of a process that it has started, on any system."""

import os
import socket
from dataclasses import dataclass, field

from prefork.core.states import ExitStatus
from prefork.ipc import messages as wire


@dataclass(slots=True)
class Child:
    """The system's handle on a worker, or on the mold."""

    slot: int
    generation: int
    channel: socket.socket
    dump: int  #: the file that the process writes its stacks to
    pid: int | None = None  #: None until the mold has said so
    serial: int = -1  #: of the order to the mold; -1 for one that was started otherwise
    doomed: bool = False  #: to be killed as soon as its process is known
    program: bool = False  #: it becomes a program that knows nothing of us
    lines: wire.Lines = field(default_factory=wire.Lines)

    def close(self) -> None:
        """Let go of what we hold for it."""
        self.channel.close()
        os.close(self.dump)


@dataclass(frozen=True, slots=True)
class Notice:
    """What the system tells of a child: it ended, was stopped, or goes on."""

    child: Child
    ended: ExitStatus | None  #: None: it lives
    stopped: bool = False
