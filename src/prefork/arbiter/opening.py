"""Opens what the arbiter owns before it starts a process, and closes it when all have ended."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prefork.arbiter.claim import RunFiles, claim_run_files
from prefork.arbiter.pidfile import pidfile
from prefork.core.limits import accept_mode
from prefork.errors import SettingsError
from prefork.logs.log import Log
from prefork.platform.system import System, accept_mutex, raise_descriptor_limit
from prefork.settings import Settings
from prefork.sockets.listeners import Listener, open_listeners


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a server holds open, and how its workers accept."""

    listeners: Sequence[Listener]
    accept: str  #: ``accept`` of the settings, with ``auto`` resolved
    mutex: int | None  #: number of the accept mutex
    run_files: RunFiles
    descriptors: int  #: the soft limit of open files that the user has set

    @property
    def settings(self) -> Settings:
        """The settings in force, with the name by which the server can be found."""
        return self.run_files.settings

    @property
    def port(self) -> int | None:
        """The port of the first listener that has one."""
        return next((each.address.port for each in self.listeners if each.is_internet), None)


@contextlib.contextmanager
def opened(settings: Settings, log: Log) -> Iterator[Opened]:
    """Open what ``settings`` ask for, and close it in the end.

    Raises ListenError when an address cannot be had, SettingsError when a path or mutex cannot.
    """
    descriptors = raise_descriptor_limit()
    if settings.chdir is not None:
        os.chdir(settings.chdir)
    with contextlib.ExitStack() as owned:
        listeners = open_listeners(settings.bind, settings.backlog)
        for listener in listeners:
            owned.callback(listener.close)
        accept = accept_mode(
            settings.accept,
            len(listeners),
            is_program=settings.facts.foreign_programs,
            kernel_wakes_one=System.wakes_one,
        )
        _set_blocking(listeners, accept)
        owned.enter_context(pidfile(settings.pidfile))
        yield Opened(
            run_files=owned.enter_context(claim_run_files(settings, log)),
            listeners=listeners,
            accept=accept,
            mutex=_mutex(settings.accept_mutex_name, accept, log),
            descriptors=descriptors,
        )


def _set_blocking(listeners: Sequence[Listener], accept: str) -> None:
    """Have accept wait, or not; the flag belongs to the socket, which all processes share."""
    # For datagrams it matters only to answers, which are to wait for room.  On Windows the owner
    # of the mutex sets it as needed, and workers that another parent has started may block.
    blocks = accept in ("blocking", "program") or not System.can_share_nonblocking
    for listener in listeners:
        listener.socket.setblocking(listener.is_datagram or blocks)


def _mutex(name: str | None, accept: str, log: Log) -> int | None:
    """Return the number by which children inherit the accept mutex; raises SettingsError."""
    if accept != "mutex" and name is None:
        return None
    try:
        mutex, existed = accept_mutex(name)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError([f"accept-mutex-name {name} cannot be had: {reason}"]) from error
    if existed:
        log.info("accept mutex joined", name=name)
    return mutex
