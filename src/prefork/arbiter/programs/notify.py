"""What a program notifies us of (sd_notify(3)), and what follows from it.  POSIX."""

import selectors
from typing import Final

from prefork.arbiter.child_events import News, fields
from prefork.arbiter.programs.notify_words import Said, parse
from prefork.arbiter.programs.program import Program
from prefork.core.events import ProgramReported, TimeExtended, WorkerLeaving
from prefork.core.states import State
from prefork.platform.posix.programs import Notification, NotifySocket

#: Notifications of a program that are read in one turn.
AT_ONCE: Final = 32

#: Notifications of a dead program that are still read: as many as a queue holds (unix(7)).
LEFT: Final = 512


class NotifyLetters:
    """The notifications of one program."""

    def __init__(
        self,
        news: News,
        selector: selectors.BaseSelector,
        program: Program,
        notify: NotifySocket,
        senders: frozenset[int],
    ) -> None:
        """Hear what comes to ``notify``, which is ours now; ``senders`` are trusted user ids."""
        self._news = news
        self._selector = selector
        self._program = program
        self._notify = notify
        self._senders = senders
        self._warned: set[str] = set()
        selector.register(notify.socket, selectors.EVENT_READ, self._hear)

    def last_words(self) -> None:
        """Hear what the program has said before its end."""
        for _ in range(LEFT // AT_ONCE):
            if not self._hear():
                break

    def close(self) -> None:
        """Hear no more."""
        self._selector.unregister(self._notify.socket)
        self._notify.close()

    def _hear(self) -> bool:
        """Read what the program notifies us of; tell whether there may be more."""
        for _ in range(AT_ONCE):
            letter = self._notify.receive()
            if letter is None:
                return False
            self._heed_letter(letter)
        return True

    def _heed_letter(self, letter: Notification) -> None:
        program = self._program
        # The program itself may have become somebody else; the kernel vouches for its pid.
        if letter.sender not in self._senders and letter.pid != program.child.pid:
            self._warn("sender", f"it came from the user {letter.sender}")
            return
        if not letter.whole:
            self._warn("size", "it is too long")
            return
        said = parse(letter.text)
        self._heed(said, self._news.clock())
        if said.wrong:
            self._warn("words", f"{said.wrong[0]!r} is not understood")

    def _heed(self, said: Said, now: float) -> None:
        program, pool = self._program, self._news.pool
        slot = program.slot
        pool.apply(ProgramReported(slot), now)
        if said.extension is not None:
            pool.apply(TimeExtended(slot, now + said.extension), now)
        if said.ready:
            program.report_ready(self._news, now)
        self._enter(said, now)  # what it says of now counts from now on
        if said.stopping:
            if pool.members.workers[slot].state is State.READY:
                self._news.log.info("worker leaving", **fields(program.child))
            program.row.set_leaving()
            pool.apply(WorkerLeaving(slot), now)

    def _enter(self, said: Said, now: float) -> None:
        row = self._program.row
        if said.status is not None:
            row.set_text(said.status)
        if said.units is not None:
            row.set_units(said.units, now)
        if said.period is not None:
            row.watch_silence(said.period, now)
        if said.alive is not None:
            row.note_alive(now) if said.alive else row.set_hung(now)

    def _warn(self, what: str, reason: str) -> None:
        """Log why a notification does not count, once for each reason and program."""
        if what not in self._warned:
            self._warned.add(what)
            log = self._news.log
            log.warning("notification ignored", **fields(self._program.child), reason=reason)
