"""When to start the next worker after failed starts. Knows no process and no clock."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartLimits:
    """How patient to be with workers that fail to start."""

    first_delay: float = 0.1  #: seconds before the second attempt; doubles each time
    max_delay: float = 30.0  #: but never more than this
    intensity: int = 8  #: this many failures …
    period: float = 60.0  #: … within so many seconds: give up


def next_attempt(failed_at: Sequence[float], now: float, limits: RestartLimits) -> float | None:
    """Return when to start the next worker, or None to give up.

    ``failed_at`` holds the failed starts since the last success, oldest first.
    """
    if not failed_at:
        return now
    recent = sum(moment > now - limits.period for moment in failed_at)
    if recent >= limits.intensity:
        return None
    # The exponent is capped because 2 ** 1100 does not fit a float: a night of failures.
    delay = limits.first_delay * 2.0 ** min(len(failed_at) - 1, 30)
    return failed_at[-1] + min(delay, limits.max_delay)
