"""The loop: asks the pool what to do, does it, and sleeps until something happens."""

import selectors
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from prefork.arbiter.children import Children
from prefork.arbiter.operators import MOST_HERE, Operators
from prefork.core.actions import (
    Abort,
    Action,
    CountAsReady,
    Drain,
    Inspect,
    Kill,
    Nudge,
    Spawn,
    StartMold,
    StopListening,
)
from prefork.core.events import ConnectionArrived, Event, LimitsChanged, StopRequested
from prefork.core.snapshot import Snapshot
from prefork.platform.base import Platform
from prefork.platform.service_manager import ServiceManager
from prefork.sockets.listeners import Listener

#: Seconds that a stop waits for handshakes under way: a few round trips of a slow network.
HANDSHAKE_PATIENCE: Final = 1.0

#: Seconds that the loop sleeps at most.
LONGEST_WAIT: Final = 86400.0

#: Decisions that have an event of their own, ``worker hung`` and ``stopping``.
_LOGGED_ELSEWHERE: Final = ("hang", "stop")


class Arbiter:
    """The parent: one thread, no user code, nothing that blocks but the one wait."""

    def __init__(
        self,
        platform: Platform,
        children: Children,
        listeners: Sequence[Listener],
        selector: selectors.BaseSelector,
    ) -> None:
        self._events = children.events
        self.pool = self._events.pool
        self.scoreboard = self._events.scoreboard
        self.log = self._events.log
        self.platform = platform
        self.children = children
        self.listeners = listeners
        self.selector = selector
        self.manager = ServiceManager()
        self.operators = Operators(self)
        self._watched = False
        self._interrupted = False
        self._handshakes_until = 0.0
        self._stopping = False
        self._reported = 0  # decisions of the journal that are in the log
        selector.register(platform.wakeup, selectors.EVENT_READ, self._handle_signals)

    def run(self) -> int:
        """Supervise until every worker is gone; return the exit status."""
        while not self.pool.finished:
            actions = self.pool.decide(self.snapshot())
            self.children.forget_generations()
            self._log_decisions()
            self.scoreboard.publish(self.pool)  # a worker that is asked to leave reads there why
            for action in actions:
                self.perform(action)
            self.report()
            if not self.pool.finished:  # it may have given up, with no process left to wait for
                self.wait()
        self._log_decisions()
        self.report()
        return self.pool.exit_status

    def snapshot(self) -> Snapshot:
        """Look at everything the pool decides from.  The one place that reads the clock for it."""
        now = self.platform.now()
        # At a stop, a client in the middle of its handshake will be in the queue any moment; but
        # one that has vanished in the middle must not delay the stop.
        ending = now < self._handshakes_until
        # And the queue of a listener that cannot be quiesced may never be empty.
        seen = [each for each in self.listeners if ending or not self._stopping or each.is_shut]
        depths = [each.arriving() if ending else each.queued() for each in seen]
        known = [depth for depth in depths if depth is not None]
        queued = sum(known) if len(known) == len(depths) else None
        return Snapshot(now=now, rows=self.scoreboard.rows(self.pool), queued=queued)

    def apply(self, event: Event) -> None:
        """Report to the pool what has happened."""
        self.pool.apply(event, self.platform.now())

    def perform(self, action: Action) -> None:
        """Do what the pool has decided."""
        children = self.children
        match action:
            case StartMold(generation):
                children.start_mold(generation)
            case Spawn(slot, generation, fork):
                children.start(slot, generation, fork=fork)
            case CountAsReady(slot):
                children.count_as_ready(slot)
            case Drain(process):
                children.drain(process)
            case Nudge(slot):
                children.nudge(slot)
            case Inspect(process):
                children.inspect(process, self.platform.now())
            case Abort(slot):
                children.abort(slot)
            case Kill(process):
                children.kill(process)
            case StopListening():
                self._stop_listening()

    def _stop_listening(self) -> None:
        for listener in self.listeners:
            listener.stop_listening(ours=self.children.programs is None)

    def _log_decisions(self) -> None:
        for decision in self.pool.journal.since(self._reported):
            if decision.kind == "scale":
                change = {"from": decision.before, "to": decision.after}
                self.log.info("pool scaled", **change, why=decision.why)
            elif decision.inputs.get("exit_status") and not self._events.load_failure_logged:
                self.log.error("giving up", why=decision.why)
            elif decision.kind not in _LOGGED_ELSEWHERE:
                self.log.warning("pool decided", kind=decision.kind, why=decision.why)
        self._reported = self.pool.journal.total

    def report(self) -> None:
        """Bring the scoreboard and the service manager up to date with the pool."""
        self.scoreboard.publish(self.pool)
        self.manager.report(str(self.pool.state), len(list(self.pool.members)))
        self.log.flush()

    def wait(self) -> None:
        """Sleep until something happens or the next deadline; report what happened."""
        self._watch_listeners(self.pool.watching)
        # After a pause of the whole machine deadlines have passed, but messages that were sent in
        # time are unread: they are read before the pool compares anything with the clock.
        self._handle(self.selector.select(self._patience()) or self.selector.select(0))
        # A process that dies closes its channel first: its signal has come meanwhile, and one
        # decision less is between its death and its successor.
        self._handle(self.selector.select(0))
        now = self.platform.now()
        self.children.look(now)
        self.manager.beat(now)

    def _handle(self, events: Sequence[tuple[selectors.SelectorKey, int]]) -> None:
        ready = [key.data for key, _ in events]
        # Messages of workers before the notices of their deaths: the last message counts, too.
        ready.sort(key=lambda callback: callback == self._handle_signals)
        for callback in ready:
            callback()

    def _patience(self) -> float | None:
        deadlines = (
            self.pool.deadline(),
            self.children.deadline(),
            self.manager.deadline(),
        )
        moments = [moment for moment in deadlines if moment is not None]
        # The system's wait takes no more than some weeks; to wake too early does no harm.
        return min(max(min(moments) - self.platform.now(), 0.0), LONGEST_WAIT) if moments else None

    def _watch_listeners(self, wanted: bool) -> None:
        """Wake when a connection arrives, or stop doing so; the arbiter never accepts one."""
        if wanted == self._watched:
            return
        self._watched = wanted
        for listener in self.listeners:
            if wanted:
                self.selector.register(listener.socket, selectors.EVENT_READ, self._arrival)
            else:
                self.selector.unregister(listener.socket)

    def _arrival(self) -> None:
        # Level-triggered: while it waits for a worker, it would wake us again and again.
        self._watch_listeners(False)
        self.apply(ConnectionArrived())

    def _handle_signals(self) -> None:
        for name in self.platform.signals():
            self._SIGNALS[name](self)

    def stop(self, *, at_once: bool, reason: str) -> None:
        """Begin to end the server."""
        if self.pool.state != "stopping":
            self._handshakes_until = self.platform.now() + HANDSHAKE_PATIENCE
            self._stopping = True
        self.log.info("stopping", reason=reason, at_once=at_once)
        self.apply(StopRequested(at_once))

    def _interrupt(self) -> None:
        self.stop(at_once=self._interrupted, reason="SIGINT")
        self._interrupted = True

    def _reopen_logs(self) -> None:
        self.log.reopen()
        self.children.reopen_logs()
        self.log.info("logs reopened")

    def resize(self, minimum: int, maximum: int) -> None:
        """Take on new limits of the pool's size."""
        before = self.pool.limits.scaling
        self.log.info(
            "limits changed",
            **{"from": f"{before.minimum}..{before.maximum}", "to": f"{minimum}..{maximum}"},
        )
        self.apply(LimitsChanged(minimum, maximum))

    def _resize_by(self, step: int) -> None:
        scaling = self.pool.limits.scaling
        maximum = min(max(scaling.maximum + step, 1), MOST_HERE)
        fixed = scaling.minimum == scaling.maximum
        self.resize(maximum if fixed else min(scaling.minimum, maximum), maximum)

    def _not_offered(self) -> None:
        self.log.warning("signal ignored", reason="this version does not reload or upgrade")

    _SIGNALS: ClassVar[dict[str, Callable[["Arbiter"], None]]] = {
        "SIGCHLD": lambda self: self.children.reap(),
        "SIGTERM": lambda self: self.stop(at_once=False, reason="SIGTERM"),
        "SIGINT": _interrupt,
        "SIGQUIT": lambda self: self.stop(at_once=True, reason="SIGQUIT"),
        "SIGUSR1": _reopen_logs,
        "SIGTTIN": lambda self: self._resize_by(1),
        "SIGTTOU": lambda self: self._resize_by(-1),
        "SIGHUP": _not_offered,
        "SIGUSR2": _not_offered,
    }
