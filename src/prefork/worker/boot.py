"""Turns a fresh process, forked or spawned, into a worker."""

import atexit
import faulthandler
import grp
import importlib
import os
import pwd
import resource
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from prefork import log, wire
from prefork.backends.linux import signal_on_parents_death
from prefork.backends.title import show_as
from prefork.errors import HandlerError
from prefork.handlers import Handler, Target
from prefork.log import Log
from prefork.scoreboard import Scoreboard
from prefork.worker.channel import Channel
from prefork.worker.context import WorkerContext
from prefork.worker.gate import BlockingGate, ExclusiveGate, FileMutex, Gate, MutexGate
from prefork.worker.inherited import InheritedListener
from prefork.worker.plan import Plan
from prefork.worker.servers import stream_handler
from prefork.worker.stream import serve, serve_threaded
from prefork.worker.tally import SharedTally, SoleTally, Tally

_NOT_THE_USERS: Final = (
    str(Path(__file__).parents[1]) + os.sep,
    str(Path(importlib.__file__).parent) + os.sep,
    "<frozen importlib",
)


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


def settle(plan: Plan) -> None:
    """Take on the identity and limits that all user code runs with."""
    settings = plan.settings
    log.use(Log(settings.log_level, as_json=settings.log_format == "json"))
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # The arbiter alone decides.  SIGHUP comes from the kernel when the arbiter has died and
        # a sibling of our process group is stopped (setpgid(2)): who is busy still finishes.
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
        os.nice(settings.nice)
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


def catch_dumps(fd: int) -> None:
    """Write the stacks of all threads to ``fd`` on DUMP, even while C code holds the GIL."""
    faulthandler.register(wire.DUMP, file=fd, all_threads=True, chain=False)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {wire.DUMP})  # blocked by who started us


class Worker:
    """A worker process, from its start to its end."""

    def __init__(self, plan: Plan, slot: int, channel: socket.socket, dump: int) -> None:
        self.plan = plan
        self.slot = slot
        self.dump = dump
        catch_dumps(dump)
        self.row = Scoreboard.open(plan.scoreboard, writable=True).row(slot)
        self.channel = Channel(channel, self.row)
        self.channel.attend_on_signal()
        signal_on_parents_death(wire.NUDGE)
        self._mutex: FileMutex | None = None
        self.listeners = [InheritedListener(fileno=fd) for fd in plan.listeners]
        self.channel.close_when_orphaned(self.listeners, self._limit_orphans_life)
        os.register_at_fork(after_in_child=self._let_go)
        # Our parent may have died before the kernel knew that we want to hear of it.
        self.channel.attend()
        show_as(f"worker {slot}", plan.settings.name, plan.generation)

    def run(self, target: Target) -> int:
        """Serve until it is time to leave; return the exit status."""
        settings = self.plan.settings
        try:
            handler = target.handler(factory=settings.factory, kind=settings.kind)
        except BaseException as error:  # noqa: BLE001 (the user's factory)
            reason = error if isinstance(error, HandlerError) else f"{target.name} raised {error!r}"
            self.channel.tell(failure(str(reason), error))
            return 4
        status = self._serve(handler)
        _join_threads()
        return status

    def _serve(self, handler: Handler) -> int:
        gate = self._gate()
        threads = self.plan.settings.threads
        tally: Tally = SoleTally(self.row) if threads == 1 else SharedTally(self.row)
        if handler.kind == "program":
            return self._run_program(handler, gate, tally)
        function = handler.target
        if handler.kind == "socketserver":
            function = stream_handler(handler.target, self.listeners[0])
        self.channel.tell(wire.Ready(os.getpid()))
        if threads == 1:
            serve(gate, function, tally)
        else:
            serve_threaded(gate, function, tally, threads)
        return 0

    def _run_program(self, handler: Handler, gate: Gate, tally: Tally) -> int:
        context = WorkerContext(
            slot=self.slot,
            generation=self.plan.generation,
            listeners=self.listeners,
            channel=self.channel,
            gate=gate,
            tally=tally,
        )
        try:
            handler.target(context)
        except SystemExit as error:
            return error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException as error:  # noqa: BLE001 (the user's program)
            # A program that accepts for itself meets a listener that has become deaf.
            if not (isinstance(error, OSError) and context.stopping):
                log.current().exception("program failed", error, pid=os.getpid())
                return 1
        return 0

    def _gate(self) -> Gate:
        match self.plan.accept:
            case "blocking":
                return BlockingGate(self.listeners[0], self.channel)
            case "exclusive":
                return ExclusiveGate(self.listeners, self.channel)
        assert self.plan.mutex is not None
        self._mutex = FileMutex(self.plan.mutex, self.plan.settings.accept_mutex)
        self._mutex.release_when_leaving(self.channel)
        return MutexGate(self.listeners, self.channel, self._mutex)

    def _let_go(self) -> None:
        """Keep nothing in a process that the user's code forks: it would keep it beyond our end.

        That is the port, and the accept mutex: a lock by flock lasts as long as any copy of its
        open file.
        """
        for listener in self.listeners:
            listener.close()
        if self._mutex is not None:
            self._mutex.close()
        self.channel.close()

    def _limit_orphans_life(self) -> None:
        """End within graceful-timeout, whatever holds us, when no arbiter is there to see to it."""
        patience = max(self.plan.settings.graceful_timeout, 0.001)
        faulthandler.dump_traceback_later(patience, exit=True, file=self.dump)


def failure(reason: str, error: BaseException) -> wire.Failed:
    """Return the message that the target cannot be loaded, with the user's traceback."""
    cause = error.__cause__ if isinstance(error, HandlerError) else error
    text = "" if cause is None else "".join(traceback.format_exception(own_part(cause)))
    return wire.Failed(os.getpid(), reason[:5_000], text[-30_000:])  # fits one message


def own_part(error: BaseException) -> BaseException:
    """Cut our own frames, and those of the import system, from the beginning of the traceback."""
    entry = error.__traceback__
    while entry is not None and entry.tb_frame.f_code.co_filename.startswith(_NOT_THE_USERS):
        entry = entry.tb_next
    # Nothing is left of a module that was not found: then all of it is better than none.
    return error if entry is None else error.with_traceback(entry)


def finish(status: int) -> NoReturn:
    """End a forked process as an interpreter would end, without returning into the mold."""
    atexit._run_exitfuncs()
    log.current().flush()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def _join_threads() -> None:
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
