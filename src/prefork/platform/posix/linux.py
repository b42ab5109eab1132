"""The platform on Linux: molds, and what /proc and the cgroup report."""

import signal

from prefork.platform import linux
from prefork.platform.base import Child
from prefork.platform.posix.processes import PosixPlatform


class LinuxPlatform(PosixPlatform):
    """The ``Platform`` of Linux.  A worker that a mold forks becomes our own child."""

    can_fork = True
    wakes_one = True

    def __init__(self) -> None:
        super().__init__()
        self._memory = linux.OutOfMemoryKills()
        linux.become_subreaper()

    def follow(self, parent: int, interrupt: int | None = None) -> None:
        """Have the kernel send us SIGTERM when our ``parent`` ends."""
        linux.signal_on_parents_death(signal.SIGTERM)
        super().follow(parent, interrupt)  # it may have ended before

    def kernel_state(self, child: Child) -> dict[str, str]:
        """Return what /proc says of ``child``."""
        return {} if child.pid is None else linux.kernel_state(child.pid)

    def thread_states(self, child: Child) -> list[dict[str, str]]:
        """Return what /proc says of the threads of ``child``."""
        return [] if child.pid is None else linux.thread_states(child.pid)

    def killed_for_memory(self) -> bool:
        """Return whether the cgroup has counted one more kill."""
        return self._memory.happened()
