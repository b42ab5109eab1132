"""The platform on Linux: molds, and what /proc and the cgroup report."""

import signal

from prefork.platform import linux
from prefork.platform.base import Child, SpawnOrder
from prefork.platform.posix.early_mold import EarlyMold
from prefork.platform.posix.processes import PosixPlatform
from prefork.platform.posix.system import memory_file


class LinuxPlatform(PosixPlatform):
    """The ``Platform`` of Linux.  A worker that a mold forks becomes our own child."""

    can_fork = True
    wakes_one = True

    def __init__(self) -> None:
        super().__init__()
        self.early: EarlyMold | None = None  #: becomes the first mold
        self._memory = linux.OutOfMemoryKills()
        linux.become_subreaper()

    def follow(self, parent: int, interrupt: int | None = None) -> None:
        """Have the kernel send us SIGTERM when our ``parent`` ends."""
        linux.signal_on_parents_death(signal.SIGTERM)
        super().follow(parent, interrupt)  # it may have ended before

    def spawn(self, order: SpawnOrder) -> Child:
        """Start a worker or a mold, or adopt the mold that already waits."""
        if order.slot is None and self.early is not None:
            early, self.early = self.early, None
            dump = memory_file("stacks", append=True)
            child = Child(order.slot, order.generation, early.channel, dump)
            words = [*order.arguments, "--dump", str(dump)]
            if early.adopt(words, (*order.inherited, dump)):
                self.adopt(child, early.pid)
                return child
            child.close()  # which ends it
        return super().spawn(order)

    def kernel_state(self, child: Child) -> dict[str, str]:
        """Return what /proc reports of ``child``."""
        return {} if child.pid is None else linux.kernel_state(child.pid)

    def thread_states(self, child: Child) -> list[dict[str, str]]:
        """Return what /proc reports of the threads of ``child``."""
        return [] if child.pid is None else linux.thread_states(child.pid)

    def killed_for_memory(self) -> bool:
        """Return whether the cgroup has counted one more kill."""
        return self._memory.happened()
