"""All that the operator has settled about the pool."""

from dataclasses import dataclass, field

from prefork.core.restart import RestartLimits
from prefork.core.scaling import ScalingLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """How many workers, how they are started, and how long each may take.  Times in seconds."""

    scaling: ScalingLimits = field(default_factory=ScalingLimits)
    restart: RestartLimits = field(default_factory=RestartLimits)
    boot_timeout: float = 60.0  #: from the order to ready; 0 is for ever
    timeout: float = 30.0  #: one unit of work, or suspended; 0 is for ever
    graceful_timeout: float = 30.0  #: from the drain to the end
    early_holders: bool = False  #: a worker may hold something before it says that it is ready
    fork: bool = False  #: workers are forked from a mold
    starting_at_once: int = 8  #: workers that boot at the same time, at most
