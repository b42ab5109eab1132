"""The settings: each is declared once, below, with everything that is known about it.

Kept light: arbiter and workers import it only to decode what the command line resolved.
"""

from dataclasses import dataclass
from typing import Final, Literal

from prefork.kinds import Facts, facts_of
from prefork.settings import forms
from prefork.settings.option import Option, also, options_of, setting
from prefork.settings.values import FLAG, OCTAL, WORKERS, choice, duration, whole

__all__ = ["OPTIONS", "Settings"]
_HANDLER, _LISTENING, _POOL = "Handler", "Listening", "Pool"
_WATCHING, _PROCESS, _OPERATING = "Watching", "Process", "Operating"
_ACCOUNT: Final = forms.ACCOUNT


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a server, checked.  Durations are seconds."""

    target: str = setting(
        "target",
        group=_HANDLER,
        form=forms.TEXT,
        value="",
        help="What to serve: module:attribute, or path/to/file.py:attribute. Without attribute "
        "the first of app, application, handle, main that exists.",
    )
    kind: str = setting(
        "kind",
        group=_HANDLER,
        form=forms.KIND,
        default="auto",
        help="The kind of handler; auto detects it from the target's signature or class.",
    )
    factory: bool = setting(
        "factory",
        group=_HANDLER,
        form=FLAG,
        default="false",
        help="The target is a factory: call it without arguments to get the handler.",
    )
    bind: tuple[str, ...] = setting(
        "bind",
        short="b",
        group=_LISTENING,
        form=forms.ADDRESS,
        many=True,
        default="tcp://127.0.0.1:8000",
        value=("tcp://127.0.0.1:8000",),
        help="Where to listen: HOST:PORT, :PORT, [::1]:PORT, udp://HOST:PORT, unix:PATH, "
        "unix:@NAME, unixgram:PATH or fd://N; repeat it for several addresses. Port 0 is any "
        "free port.",
    )
    backlog: int = setting(
        "backlog",
        group=_LISTENING,
        form=whole(1, 65535),
        default="2048",
        help="How many connections may wait to be accepted, for each address.",
    )
    accept: Literal["auto", "blocking", "exclusive", "mutex"] = setting(
        "accept",
        group=_LISTENING,
        form=choice("auto", "blocking", "exclusive", "mutex"),
        default="auto",
        help="How idle workers wait for a connection; auto selects what suits listeners and kind.",
    )
    accept_mutex: Literal["flock", "fcntl"] = setting(
        "accept-mutex",
        group=_LISTENING,
        form=choice("flock", "fcntl"),
        default="flock",
        help="The kind of lock for accept = mutex; Windows has its own.",
    )
    accept_mutex_name: str | None = setting(
        "accept-mutex-name",
        group=_LISTENING,
        form=forms.MUTEX,
        help="On Windows, the name of the accept mutex, so that other programs can share it.",
    )
    minimum: int = setting(
        "workers",
        short="w",
        group=_POOL,
        form=WORKERS,
        default="auto",
        value=1,
        computed="auto: 1..4×CPUs, for event loops 1..CPUs",
        help="How many workers: always N, or MIN..MAX depending on the load; MIN may be 0. auto "
        "counts the CPUs that affinity and cgroup allow.",
    )
    maximum: int = also("workers", value=1)
    spare: int = setting(
        "spare",
        group=_POOL,
        form=whole(0, 1000),
        default="1",
        help="How many idle workers are kept ahead of the load, within MAX.",
    )
    scale_down_delay: float = setting(
        "scale-down-delay",
        group=_POOL,
        form=duration(),
        default="30",
        help="How long a surplus of idle workers must last before one of them is drained.",
    )
    threads: int = setting(
        "threads",
        group=_POOL,
        form=whole(1, 1000),
        default="1",
        help="How many connections a worker serves at the same time, each in its own thread.",
    )
    concurrency: int = setting(
        "concurrency",
        group=_POOL,
        form=whole(1, 1_000_000),
        default="1000",
        aliases=("--worker-connections", "--limit-concurrency"),
        help="How many connections a worker holds at the same time in its event loop; for exec, "
        "how many units of work a worker holds at most.",
    )
    loop: Literal["auto", "asyncio", "uvloop", "proactor", "selector"] = setting(
        "loop",
        group=_POOL,
        form=choice("auto", "asyncio", "uvloop", "proactor", "selector"),
        default="auto",
        help="The event loop of asyncio and protocol handlers; auto is uvloop if it is "
        "installed. Windows has two: proactor, which auto and asyncio select, and selector.",
    )
    start: Literal["auto", "fork", "spawn"] = setting(
        "start",
        group=_POOL,
        form=choice("auto", "fork", "spawn"),
        default="auto",
        help="How workers start: forked from a process that has imported the target, or as a "
        "fresh interpreter; auto forks if that is safe.",
    )
    boot_timeout: float = setting(
        "boot-timeout",
        group=_WATCHING,
        form=duration(zero="for ever"),
        default="60",
        help="How long a worker may take to become ready; 0 is no limit.",
    )
    timeout: float = setting(
        "timeout",
        short="t",
        group=_WATCHING,
        form=duration(zero="for ever"),
        default="30",
        help="A worker that is busy with one connection for longer, or whose event loop is "
        "blocked for longer, is hung: it is recorded and replaced; 0 is no limit.",
    )
    ready_after: float = setting(
        "ready-after",
        group=_WATCHING,
        form=duration(zero="only READY=1 counts"),
        default="1",
        help="A program that reports nothing counts as ready after this time; 0 waits for its "
        "READY=1.",
    )
    stop_signal: str = setting(
        "stop-signal",
        group=_WATCHING,
        form=forms.SIGNAL,
        default="TERM",
        help="The signal that asks a program to finish and end.",
    )
    graceful_timeout: float = setting(
        "graceful-timeout",
        group=_WATCHING,
        form=duration(),
        default="30",
        aliases=("--timeout-graceful-shutdown",),
        help="How long a drained worker may take to finish what it holds; then it is killed.",
    )
    restart_delay: float = setting(
        "restart-delay",
        group=_WATCHING,
        form=duration(),
        default="0.1",
        help="The delay after a failed start; it doubles with each further one.",
    )
    restart_delay_max: float = setting(
        "restart-delay-max",
        group=_WATCHING,
        form=duration(),
        default="30",
        help="The longest delay after a failed start.",
    )
    restart_intensity: int = setting(
        "restart-intensity",
        group=_WATCHING,
        form=whole(1, 1000),
        default="8",
        help="After so many failed starts within restart-period, and no ready worker, give up.",
    )
    restart_period: float = setting(
        "restart-period",
        group=_WATCHING,
        form=duration(0.001),
        default="60",
        help="The time in which restart-intensity counts failed starts.",
    )
    user: str | None = setting(
        "user", short="u", group=_PROCESS, form=_ACCOUNT, help="The user that the workers run as."
    )
    group: str | None = setting(
        "group", short="g", group=_PROCESS, form=_ACCOUNT, help="The group that the workers run as."
    )
    umask: int | None = setting(
        "umask",
        short="m",
        group=_PROCESS,
        form=OCTAL,
        help="The permissions that files made by the workers do not get, in octal.",
    )
    chdir: str | None = setting(
        "chdir",
        group=_PROCESS,
        form=forms.PATH,
        help="The directory to run in; the target is imported from there.",
    )
    env: tuple[str, ...] = setting(
        "env",
        group=_PROCESS,
        form=forms.PAIR,
        many=True,
        value=(),
        help="A variable for the workers' environment; repeat it for several variables.",
    )
    nice: int = setting(
        "nice",
        group=_PROCESS,
        form=whole(-20, 19),
        default="0",
        help="Added to the workers' niceness; a higher value is a lower priority.",
    )
    name: str = setting(
        "name",
        short="n",
        group=_OPERATING,
        form=forms.NAME,
        value="prefork",
        computed="the last part of the target's module",
        help="The server's name, by which the operator commands find it.",
    )
    pidfile: str | None = setting(
        "pidfile",
        short="p",
        group=_OPERATING,
        form=forms.PATH,
        aliases=("--pid",),
        help="A file for the arbiter's process id, removed at the end; a relative path is relative "
        "to the directory where the command is run.",
    )
    control: str = setting(
        "control",
        group=_OPERATING,
        form=forms.CONTROL,
        default="auto",
        help="Where the operator commands connect to the server: auto, off, unix:PATH or "
        "unix:@NAME (a relative PATH is relative to the directory where the command is run); on "
        "Windows auto, off or tcp://127.0.0.1:PORT.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "log-level",
        group=_OPERATING,
        form=choice("debug", "info", "warning", "error"),
        default="info",
        help="The lowest level of events that are logged.",
    )
    log_format: Literal["text", "json"] = setting(
        "log-format",
        group=_OPERATING,
        form=choice("auto", "text", "json"),
        default="auto",
        value="text",
        computed="auto: text on a terminal, else json",
        help="How an event is written: as a line of text or as a JSON object.",
    )
    #: The maximum of ``workers = auto`` for event loops; None if the operator has set one.
    loop_maximum: int | None = None
    #: The program of ``prefork exec`` and its arguments.
    command: tuple[str, ...] = ()
    #: Of users' own kinds, what processes have to know that do not import them.
    outside_kinds: tuple[Facts, ...] = ()

    @property
    def facts(self) -> Facts:
        """What is known of the kind; with ``auto``, what holds until a worker reports it."""
        return facts_of(self.kind, self.outside_kinds)


OPTIONS: Final[tuple[Option, ...]] = options_of(Settings)
