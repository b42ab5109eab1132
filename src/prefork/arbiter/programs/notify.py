"""What a program notifies us of (sd_notify(3)), and what follows from it.  POSIX."""

import selectors
from typing import Final

from prefork.arbiter.child_events import ChildEvents, fields
from prefork.arbiter.programs.notify_words import Report, parse
from prefork.arbiter.programs.program import Program
from prefork.core.events import ProgramReported, TimeExtended, WorkerLeaving
from prefork.core.states import State
from prefork.platform.posix.programs import Notification, NotifySocket

#: Notifications of a program that are read in one turn.
AT_ONCE: Final = 32

#: Notifications of a dead program that are still read: as many as a queue holds (unix(7)).
LEFT: Final = 512


class NotifySocketReader:
    """The notifications of one program."""

    def __init__(
        self,
        events: ChildEvents,
        selector: selectors.BaseSelector,
        program: Program,
        notify: NotifySocket,
        senders: frozenset[int],
    ) -> None:
        """Read from ``notify``, which is ours now; ``senders`` are trusted user ids."""
        self._events = events
        self._selector = selector
        self._program = program
        self._notify = notify
        self._senders = senders
        self._warned: set[str] = set()
        selector.register(notify.socket, selectors.EVENT_READ, self._read)

    def read_rest(self) -> None:
        """Read what is left of a program that has ended."""
        for _ in range(LEFT // AT_ONCE):
            if not self._read():
                break

    def close(self) -> None:
        """Read no more."""
        self._selector.unregister(self._notify.socket)
        self._notify.close()

    def _read(self) -> bool:
        """Read notifications; return whether there may be more."""
        for _ in range(AT_ONCE):
            notification = self._notify.receive()
            if notification is None:
                return False
            self._handle(notification)
        return True

    def _handle(self, notification: Notification) -> None:
        program = self._program
        # The program itself may have become another user; the kernel vouches for its pid.
        if notification.sender not in self._senders and notification.pid != program.child.pid:
            self._warn("sender", f"it came from the user {notification.sender}")
            return
        if not notification.whole:
            self._warn("size", "it is too long")
            return
        report = parse(notification.text)
        self._apply(report, self._events.clock())
        if report.wrong:
            self._warn("words", f"{report.wrong[0]!r} is not understood")

    def _apply(self, report: Report, now: float) -> None:
        program, pool = self._program, self._events.pool
        slot = program.slot
        pool.apply(ProgramReported(slot), now)
        if report.extension is not None:
            pool.apply(TimeExtended(slot, now + report.extension), now)
        if report.ready:
            program.report_ready(self._events, now)
        self._enter(report, now)  # a report about the present counts from now on
        if report.stopping:
            if pool.members.workers[slot].state is State.READY:
                self._events.log.info("worker leaving", **fields(program.child))
            program.row.set_leaving()
            pool.apply(WorkerLeaving(slot), now)

    def _enter(self, report: Report, now: float) -> None:
        row = self._program.row
        if report.status is not None:
            row.set_text(report.status)
        if report.units is not None:
            row.set_units(report.units, now)
        if report.period is not None:
            row.watch_silence(report.period, now)
        if report.alive is not None:
            row.note_alive(now) if report.alive else row.set_hung(now)

    def _warn(self, what: str, reason: str) -> None:
        """Log why a notification does not count, once for each reason and program."""
        if what not in self._warned:
            self._warned.add(what)
            log = self._events.log
            log.warning("notification ignored", **fields(self._program.child), reason=reason)
