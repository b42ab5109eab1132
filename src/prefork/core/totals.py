"""What has become of all workers so far."""

from dataclasses import dataclass

from prefork.core.states import Cause

CRASHES = frozenset({Cause.CRASHED, Cause.OUT_OF_MEMORY})


@dataclass(slots=True)
class Totals:
    """Counts of workers, the mold excepted, since the server started."""

    spawned: int = 0  #: ordered
    exited: int = 0  #: gone, for whatever reason
    crashed: int = 0  #: of these: died unasked while ready
    hung: int = 0  #: of these: killed because they were hung

    def count_exit(self, cause: Cause) -> None:
        """Count a worker that is gone."""
        self.exited += 1
        self.crashed += cause in CRASHES
        self.hung += cause is Cause.HUNG
