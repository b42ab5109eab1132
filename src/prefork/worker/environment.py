"""What a fresh process takes on before any code of the user's runs in it."""

import faulthandler
import grp
import os
import pwd
import resource
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Final

from prefork.errors import HandlerError
from prefork.ipc.plan import Plan
from prefork.logs import log
from prefork.logs.log import Log
from prefork.platform.posix.signals import DUMP

_IGNORED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def take_over(plan: Plan, arguments: Mapping[str, Sequence[int]]) -> tuple[socket.socket, int]:
    """Keep what we inherited from the programs we start; return our channel and dump file.

    Inherited descriptors are inheritable, and the user's code may start programs.
    """
    (channel,), (dump,) = arguments["channel"], arguments["dump"]
    inherited = (*arguments["plan"], channel, dump, plan.scoreboard, plan.mutex, *plan.listeners)
    for fd in inherited:
        if fd is not None:
            os.set_inheritable(fd, False)
    return socket.socket(fileno=channel), dump


def apply_settings(plan: Plan) -> None:
    """Take on the identity and limits that all user code runs with."""
    settings = plan.settings
    log.use(Log(settings.log_level, as_json=settings.log_format == "json"))
    for signum in _IGNORED:
        # The arbiter alone decides.  SIGHUP comes from the kernel when the arbiter has died and
        # a process of our group is stopped (setpgid(2)): a busy worker still finishes.
        # A handler, not SIG_IGN, which programs started by the user's code would inherit.
        signal.signal(signum, _ignore)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if plan.descriptors < soft:
        # The arbiter has raised its own; programs that use select(2) fail above 1024.
        resource.setrlimit(resource.RLIMIT_NOFILE, (plan.descriptors, hard))
    for pair in settings.env:
        name, _, value = pair.partition("=")
        os.environ[name] = value
    if settings.umask is not None:
        os.umask(settings.umask)
    if settings.nice:
        try:
            os.nice(settings.nice)
        except OSError as error:
            reason = f"cannot become nicer by {settings.nice}: {error.strerror}"
            raise HandlerError(reason) from error
    change_user(settings.user, settings.group)


def change_user(user: str | None, group: str | None) -> None:
    """Become ``user`` and ``group``, names or numbers; raises HandlerError if that cannot be."""
    try:
        if group is not None:
            os.setgid(int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid)
        if user is not None:
            _become(user, keep_group=group is not None)
    except (OSError, KeyError) as error:
        who = " and ".join(
            f"{what} {name}" for what, name in (("user", user), ("group", group)) if name
        )
        raise HandlerError(f"cannot become {who}: {error}") from error


def _become(user: str, *, keep_group: bool) -> None:
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except KeyError:
        if not user.isdecimal():
            raise
        # Usual in containers: a number without a name, and then a group of the same number.
        os.setgroups([])
        if not keep_group:
            os.setgid(int(user))
        os.setuid(int(user))
        return
    gid = os.getgid() if keep_group else entry.pw_gid
    os.initgroups(entry.pw_name, gid)
    os.setgid(gid)
    os.setuid(entry.pw_uid)
    os.environ.update(HOME=entry.pw_dir, USER=entry.pw_name, LOGNAME=entry.pw_name)


def _ignore(signum: int, frame: FrameType | None) -> None:
    """Exist, so that the signal neither ends us nor is ignored by our children."""


def catch_dumps(fd: int, *, chain: bool = False) -> None:
    """Write the stacks of all threads to ``fd`` on DUMP, even while C code holds the GIL.

    With ``chain`` the handler that Python code has set for it follows.
    """
    faulthandler.register(DUMP, file=fd, all_threads=True, chain=chain)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {DUMP})  # blocked by who started us


def allow_descriptors(wanted: int) -> None:
    """Let this process open ``wanted`` files, as far as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted and soft != resource.RLIM_INFINITY:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def restore_signals_in_forks() -> None:
    """Have what the user's code forks end by TERM as any process does; workers leave it to us.

    Blocked meanwhile: a signal that comes in the instant after the fork waits until then.
    """
    masks = threading.local()

    def block() -> None:
        masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, _IGNORED)

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)

    def restore() -> None:
        for signum in _IGNORED:
            if signal.getsignal(signum) is _ignore:
                signal.signal(signum, signal.SIG_DFL)
        unblock()

    os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=restore)
