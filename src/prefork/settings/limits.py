"""What the pool needs to know of the settings."""

from typing import Final

from prefork.core.limits import AutomaticMaximum, PoolLimits, ScalingLimits
from prefork.core.restart import RestartLimits
from prefork.settings import Settings

#: Workers that boot at the same time; more would only take the processors from one another.
STARTING_AT_ONCE: Final = 16

#: Seconds that a hung program has to print its stacks, as many do on SIGABRT; so has it of systemd.
ABORT_PATIENCE: Final = 1.0


def pool_limits(settings: Settings, *, can_fork: bool, can_abort: bool) -> PoolLimits:
    """Return the limits of a pool whose workers are as ``settings`` want them.

    ``can_fork`` is whether the system has molds, ``can_abort`` whether a program can be asked to
    print its stacks.
    """
    is_program = settings.facts.foreign_programs
    return PoolLimits(
        scaling=_scaling(settings, is_program=is_program),
        restart=RestartLimits(
            first_delay=settings.restart_delay,
            max_delay=settings.restart_delay_max,
            intensity=settings.restart_intensity,
            period=settings.restart_period,
        ),
        boot_timeout=settings.boot_timeout,
        timeout=settings.timeout,
        graceful_timeout=settings.graceful_timeout,
        early_holders=is_program,
        ready_after=settings.ready_after if is_program else 0.0,
        abort_patience=ABORT_PATIENCE if is_program and can_abort else 0.0,
        fork=can_fork and settings.start != "spawn" and not is_program,
        starting_at_once=STARTING_AT_ONCE,
    )


def _scaling(settings: Settings, *, is_program: bool) -> ScalingLimits:
    maximum = settings.loop_maximum
    automatic = None if maximum is None else AutomaticMaximum(settings.maximum, maximum)
    return ScalingLimits(
        minimum=settings.minimum,
        maximum=settings.maximum,
        spare=settings.spare,
        scale_down_delay=settings.scale_down_delay,
        capacity=settings.concurrency if is_program else settings.threads,
        automatic=automatic,
    )
