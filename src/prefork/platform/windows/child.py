"""What the arbiter holds of a process on Windows, and what its exit code means."""

from dataclasses import dataclass, field
from typing import Final

from prefork.core.states import ExitStatus
from prefork.platform.base import Child
from prefork.platform.windows.api import Event, Job, RegisteredWait
from prefork.platform.windows.process import Process

#: The exit code of a process that we kill: what a shell reports for a death by SIGKILL.
KILLED: Final = 137

#: Asks a worker to write to its dump file what the tasks of its event loop wait for.
TASKS: Final = b"T"

#: Exit codes by which the system, or the C library, ends a process that made a mistake.
_FAULTS: Final = {
    0xC0000005: "SIGSEGV",  # STATUS_ACCESS_VIOLATION
    0xC00000FD: "SIGSEGV",  # STATUS_STACK_OVERFLOW
    0xC000001D: "SIGILL",  # STATUS_ILLEGAL_INSTRUCTION
    0xC0000094: "SIGFPE",  # STATUS_INTEGER_DIVIDE_BY_ZERO
    0xC0000374: "SIGABRT",  # STATUS_HEAP_CORRUPTION
    0xC0000409: "SIGABRT",  # STATUS_STACK_BUFFER_OVERRUN, which abort() ends with
    0xC000013A: "SIGINT",  # STATUS_CONTROL_C_EXIT
}


@dataclass(slots=True)
class WindowsChild(Child):
    """A process, and what is needed to notice its end and to end it."""

    process: Process | None = None  #: None once it is gone
    job: Job | None = None  #: of a program: what it leaves behind goes with it
    stacks: Event = field(default_factory=lambda: Event.create(resets=True))  #: asks for its stacks
    exit_wait: RegisteredWait | None = None

    def close(self) -> None:
        """Close what the arbiter holds open for it."""
        super(WindowsChild, self).close()
        self.stacks.close()
        if self.job is not None:
            self.job.close()


def exit_status(code: int, child: Child) -> ExitStatus:
    """Return how ``child`` ended, whose exit code is ``code``, with the names of POSIX."""
    if child.doomed and code == KILLED:
        return ExitStatus(signal="SIGKILL")
    fault = _FAULTS.get(code)
    return ExitStatus(signal=fault) if fault else ExitStatus(code=code)
