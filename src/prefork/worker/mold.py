"""The mold: imports the target once, serves no traffic, forks workers on order (Linux).

Run as ``python -m prefork.worker.mold``, one for each generation.  The workers share its memory
copy-on-write, cost a fork instead of an interpreter's start, and the arbiter never imports the
user's code.  After Pitchfork's molds and Android's zygote.
"""

import gc
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Final, NoReturn

from prefork.errors import HandlerError
from prefork.ipc import messages
from prefork.ipc.plan import Plan
from prefork.ipc.scoreboard import Scoreboard
from prefork.kinds.targets.finding import LoadedHandler, Target, find, import_kinds
from prefork.logs import log
from prefork.platform.linux import signal_on_parents_death, thread_count
from prefork.platform.posix.descriptors import receive
from prefork.platform.posix.signals import NUDGE
from prefork.platform.title import show_as
from prefork.worker.accept.listeners import are_datagram
from prefork.worker.boot import WorkerProcess, finish
from prefork.worker.environment import apply_settings
from prefork.worker.loading import failure, made, ready
from prefork.worker.posix_resources import Resources, inheritance
from prefork.worker.timeouts import no_default_timeout

#: Signals that must not reach a child before it has made itself independent of its parent.
#: Not valid_signals(): Python takes 0.1 ms to return a mask with real-time signals in it, for
#: which it seeks a name in vain, and four masks are between a worker's death and its successor.
_ALL_SIGNALS: Final = frozenset(signal.Signals)

#: Seconds between two signals to workers whose arbiter is dead.
_NUDGE_EVERY: Final = 0.05


class MoldProcess:
    """Forks workers that all hold what this process has loaded."""

    def __init__(
        self,
        plan: Plan,
        orders: socket.socket,
        target: Target | LoadedHandler,
        default_timeout: float | None,
    ) -> None:
        self.default_timeout = default_timeout  #: of sockets, as the user's code has set it
        self.plan = plan
        self.orders = orders
        self.target = target
        self._scoreboard = Scoreboard.open(plan.scoreboard, writable=True)  # the workers' one, too
        self._forked: dict[int, int] = {}  # the last process of each slot

    def serve(self) -> None:
        """Fork a worker for each order, until the arbiter closes the channel or dies."""
        while True:
            data, fds = receive(self.orders, 4096)
            if not data:
                return
            if data == messages.REOPEN:
                log.current().write_to(fds[0])
                continue
            order = messages.decode_order(data)
            try:
                self._fork(order, *fds)
            except OSError as error:
                reason = error.strerror or str(error)
                self._report(messages.NotForked(order.serial, reason))
            finally:
                for fd in fds:
                    os.close(fd)

    def see_workers_leave(self) -> None:
        """See to it that the workers leave, when the arbiter has died without an order to them.

        The kernel has sent each a signal.  It is lost on one that was just about to accept, and
        on one that C code keeps from its Python; a worker that has got it ends by itself.
        """
        for fd in self.plan.listeners:
            os.close(fd)
        end = monotonic() + self.plan.settings.graceful_timeout
        while unaware := [pid for slot, pid in self._forked.items() if self._is_unaware(slot, pid)]:
            late = monotonic() >= end
            for pid in unaware:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if late else NUDGE)
            select.select([], [], [], _NUDGE_EVERY)

    def _is_unaware(self, slot: int, pid: int) -> bool:
        if self._scoreboard.row(slot).leaving:
            return False
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return self._scoreboard.record(slot).pid == pid

    def _fork(self, order: messages.MoldOrder, channel: int, dump: int) -> None:
        """Fork twice, so that the worker becomes a child of the arbiter, our subreaper.

        The process in between lives until the arbiter knows of the worker: before that
        the worker is not the arbiter's child, so its death cannot be seen before its birth.
        """
        ours, theirs = socket.socketpair()
        with ours, theirs:
            between = _fork_blocked(lambda: self._fork_again(order, channel, dump, ours, theirs))
            theirs.close()
            report = ours.recv(32)
            if report.isdigit():
                self._forked[order.slot] = int(report)
                self._report(messages.Forked(order.serial, int(report)))
                ours.send(b".")
            else:
                self._report(messages.NotForked(order.serial, report.decode()))
        os.waitpid(between, 0)

    def _report(self, message: messages.Message) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # the next order will be the end
            self.orders.send(messages.encode(message))

    def _fork_again(
        self,
        order: messages.MoldOrder,
        channel: int,
        dump: int,
        ours: socket.socket,
        theirs: socket.socket,
    ) -> NoReturn:
        ours.close()
        try:
            pid = _fork_blocked(lambda: self._become_worker(order, channel, dump, theirs))
        except OSError as error:
            theirs.send((error.strerror or "no process").encode())
        else:
            theirs.send(str(pid).encode())
            theirs.recv(1)
        os._exit(0)

    def _become_worker(
        self, order: messages.MoldOrder, channel: int, dump: int, theirs: socket.socket
    ) -> NoReturn:
        theirs.close()
        self.orders.close()
        status = 1
        try:
            sock = socket.socket(fileno=channel)
            resources = Resources(self.plan, order.slot, sock, dump, self._scoreboard)
            worker = WorkerProcess(resources)
            socket.setdefaulttimeout(self.default_timeout)
            status = worker.run(self.target)
        except BaseException as error:  # noqa: BLE001 (a child never comes back)
            log.current().exception("worker failed", error, slot=order.slot, pid=os.getpid())
        finish(status)


def _fork_blocked(child: Callable[[], NoReturn]) -> int:
    """Fork with signals blocked; ``child`` runs in the child, with them unblocked, for ever."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ALL_SIGNALS)
    try:
        pid = os.fork()
    finally:
        # Also in the child: our handlers only ignore, and what matters comes again.
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if pid == 0:
        try:
            child()
        finally:
            os._exit(70)
    return pid


def main() -> int:
    """Become the mold that the command line describes; return its exit status."""
    return serve_orders(messages.arguments(sys.argv[1:]))


def serve_orders(arguments: Mapping[str, Sequence[int]]) -> int:
    """Be the mold that ``arguments`` describe; return its exit status."""
    plan, orders, _ = inheritance(arguments)
    show_as("mold", plan.settings.name, plan.generation)
    # We hold nothing that could be lost, and may be stuck in the user's import.
    signal_on_parents_death(signal.SIGKILL)
    try:
        apply_settings(plan)
        signal_on_parents_death(signal.SIGKILL)  # a change of user has cleared it
        import_kinds(plan.settings.outside_kinds)
        target = find(plan.settings.target)
        # What a factory makes, each worker has to find out for itself.
        handler = (
            None if plan.settings.factory else made(target, plan, are_datagram(plan.listeners))
        )
    except HandlerError as error:
        orders.send(messages.encode(failure(str(error), error)))
        return 4
    if (reason := _unsafe()) is not None:
        if plan.settings.start == "auto":
            orders.send(messages.encode(messages.Unsafe(reason)))
            return 0
        log.current().warning("fork is not safe", reason=reason, start=plan.settings.start)
    gc.collect()
    # What is alive now stays: the collector never again touches, and so never copies, its pages.
    gc.freeze()
    orders.send(messages.encode(messages.Loaded()))
    answer = messages.Ready(os.getpid()) if handler is None else ready(handler, plan)
    orders.send(messages.encode(answer))
    signal_on_parents_death(0)  # from here on we see the end of the channel
    with no_default_timeout() as users:
        mold = MoldProcess(plan, orders, handler or target, users)
        mold.serve()
        mold.see_workers_leave()
    return 0


def _unsafe() -> str | None:
    """Return why this process should not be forked, if so: other threads' locks would be held."""
    names = [thread.name for thread in threading.enumerate()][1:]
    if names:
        return f"importing the target started {len(names)} thread(s): {', '.join(names)}"
    if (count := thread_count()) > 1:
        return f"importing the target started {count - 1} thread(s) outside Python"
    return None


if __name__ == "__main__":
    sys.exit(main())
