"""The failed starts that count, and what they say about the next one."""

from prefork.core.restart import RestartLimits, next_attempt
from prefork.core.states import MOLD, State, WorkerRecord

#: Failures remembered at least; beyond the exponent's cap they make no difference.
REMEMBERED = 64


#: Seconds that a worker has been ready before its success is believed.  Workers that die as
#: soon as they are ready would otherwise clear one another's failures, and crash at full speed.
PROBATION = 1.0


class Failures:
    """Remembers the failed starts since the last success."""

    def __init__(self, limits: RestartLimits) -> None:
        self.limits = limits
        self.moments: list[float] = []

    def __len__(self) -> int:
        return len(self.moments)

    def add(self, record: WorkerRecord, now: float) -> None:
        """Count the failed start of ``record``'s process.

        A success that it had had was none: the failures which it cleared count again.
        """
        self.moments = sorted([*record.forgiven, *self.moments])
        record.forgiven = ()
        # Workers started together fail together; that is one attempt. Otherwise eight workers
        # would use up all patience in their first tenth of a second.
        if self.moments and record.started <= self.moments[-1]:
            return
        self.moments.append(now)
        del self.moments[: -max(self.limits.intensity, REMEMBERED)]

    def believed_at(self, record: WorkerRecord) -> float | None:
        """Return when the failures before ``record``'s worker are forgiven for its success.

        None if they are not: it is not ready, or the last failure is of a later start.
        """
        if record.state is not State.READY or record.slot == MOLD:
            return None
        if not self.moments or record.started <= self.moments[-1]:
            return None
        return record.since + PROBATION

    def forgive(self, record: WorkerRecord) -> None:
        """Clear the failures, for the worker of ``record`` is a success."""
        record.forgiven = tuple(self.moments)
        self.moments.clear()

    def next_attempt(self, now: float, *, give_up: bool) -> float | None:
        """Return when to start the next worker.

        None says to give up; without ``give_up``, go on as slowly as the limits allow.
        """
        moment = next_attempt(self.moments, now, self.limits)
        if moment is None and not give_up:
            return self.moments[-1] + self.limits.max_delay
        return moment
