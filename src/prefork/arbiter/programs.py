"""Programs as workers: started with what they need, heard, told when to end."""

import contextlib
import os
import pwd
import selectors
from dataclasses import dataclass, field
from functools import partial
from signal import SIGABRT, Signals
from time import monotonic
from typing import Final

from prefork.arbiter.news import News, fields
from prefork.arbiter.notifications import Said, parse
from prefork.arbiter.output import Output
from prefork.arbiter.printing import Printing
from prefork.arbiter.programrow import ProgramRow
from prefork.backends.child import Child
from prefork.backends.posix import PosixBackend
from prefork.backends.programs import Letter, Means, NotifySocket, output_pipe
from prefork.core.events import TimeExtended, WorkerLeaving
from prefork.core.states import State
from prefork.settings import Settings

#: Notifications of a program that are read in one turn.
LETTERS_AT_ONCE: Final = 32

#: Notifications of a dead program that are still read: as many as a queue holds (unix(7)).
LETTERS_LEFT: Final = 512

#: Seconds that a hung program has, after SIGABRT, to print its stacks.
ABORT_PATIENCE: Final = 1.0


@dataclass(frozen=True, slots=True)
class Conduct:
    """How programs are treated."""

    plan: int  #: descriptor
    ready_after: float
    timeout: float
    stop_signal: Signals
    user: int  #: the user id that programs run as
    senders: frozenset[int]  #: user ids whose notifications count


def conduct_of(settings: Settings, plan: int) -> Conduct | None:
    """Return how ``settings`` want programs treated; None if the workers are no programs."""
    if settings.kind != "command":
        return None
    return Conduct(
        plan=plan,
        ready_after=settings.ready_after,
        timeout=settings.timeout,
        stop_signal=Signals[f"SIG{settings.stop_signal}"],
        user=_user_id(settings.user),
        senders=frozenset({0, os.geteuid(), _user_id(settings.user)}),
    )


def _user_id(user: str | None) -> int:
    if user is None:
        return os.geteuid()
    if user.isdecimal():
        return int(user)
    with contextlib.suppress(KeyError):  # removed since; then no worker can become it either
        return pwd.getpwnam(user).pw_uid
    return os.geteuid()


@dataclass(slots=True)
class Program:
    """What there is of one program besides its process."""

    child: Child
    notify: NotifySocket
    row: ProgramRow
    spoke: bool = False  #: it has notified us; so it will say itself when it is ready
    ready: bool = False
    ready_at: float | None = None
    kill_at: float | None = None
    warned: set[str] = field(default_factory=set)


class Programs:
    """All living programs, by their slots."""

    def __init__(
        self,
        news: News,
        backend: PosixBackend,
        selector: selectors.BaseSelector,
        conduct: Conduct,
    ) -> None:
        self._news = news
        self._backend = backend
        self._selector = selector
        self._conduct = conduct
        self._by_slot: dict[int, Program] = {}
        self._printing = Printing(news.log, selector)

    def start(self, slot: int, generation: int) -> Child:
        """Start what becomes the program in ``slot``; raises OSError."""
        with contextlib.ExitStack() as opened, contextlib.ExitStack() as theirs:
            notify = NotifySocket()
            opened.callback(notify.close)
            outputs, writers = [], []
            for stream in ("stdout", "stderr"):
                reader, writer = output_pipe(self._conduct.user)
                theirs.callback(os.close, writer)
                outputs.append(Output(stream, reader))
                opened.callback(outputs[-1].close)
                writers.append(writer)
            environ = {**os.environ, "NOTIFY_SOCKET": notify.address}
            means = Means(environ, (writers[0], writers[1]))
            child = self._backend.spawn_program(slot, generation, self._conduct.plan, means)
            opened.pop_all()
        row = ProgramRow(self._news.board.row_of(slot), self._conduct.timeout)
        program = Program(child, notify, row)
        self._by_slot[slot] = program
        heard = partial(self._hear_letters, program)
        self._selector.register(notify.socket, selectors.EVENT_READ, heard)
        self._printing.add(child, outputs)
        return child

    def runs(self, child: Child) -> None:
        """Note that ``child`` has become the program: its channel has closed."""
        program = self._by_slot[child.slot]
        if self._conduct.ready_after and not program.spoke:
            program.ready_at = monotonic() + self._conduct.ready_after

    def drain(self, child: Child) -> None:
        """Ask the program to finish what it holds and to end."""
        self._by_slot[child.slot].row.leave()
        self._backend.signal(child, self._conduct.stop_signal)

    def abort(self, child: Child) -> None:
        """End a hung program, as systemd does: many print their stacks on SIGABRT."""
        self._by_slot[child.slot].kill_at = monotonic() + ABORT_PATIENCE
        self._backend.signal(child, SIGABRT)

    def deadline(self) -> float | None:
        """Return when to look next; None if nothing is due."""
        programs = self._by_slot.values()
        due = [self._printing.deadline()]
        due += [moment for each in programs for moment in (each.ready_at, each.kill_at)]
        return min((moment for moment in due if moment is not None), default=None)

    def look(self, now: float) -> None:
        """Do what is due: take the silent for ready, end those who were aborted."""
        for program in self._by_slot.values():
            if program.ready_at is not None and now >= program.ready_at:
                self._ready(program, now)
            if program.kill_at is not None and now >= program.kill_at:
                program.kill_at = None
                self._backend.kill(program.child)
        self._printing.look(now)

    def last_words(self, child: Child) -> None:
        """Hear what the program has said before its end."""
        program = self._by_slot[child.slot]
        for _ in range(LETTERS_LEFT // LETTERS_AT_ONCE):
            if not self._hear_letters(program):
                break
        self._printing.last_words(child)

    def forget(self, child: Child) -> None:
        """Let go of what we hold for the program, which is gone."""
        program = self._by_slot.pop(child.slot)
        self._selector.unregister(program.notify.socket)
        program.notify.close()
        self._printing.forget(child)

    def _ready(self, program: Program, now: float) -> None:
        program.ready_at = None
        if not program.ready:
            program.ready = True
            program.row.rouse(now)
            self._news.ready(program.child, None, now)

    def _hear_letters(self, program: Program) -> bool:
        """Read what the program notifies us of; tell whether there may be more."""
        for _ in range(LETTERS_AT_ONCE):
            letter = program.notify.receive()
            if letter is None:
                return False
            self._heed_letter(program, letter)
        return True

    def _heed_letter(self, program: Program, letter: Letter) -> None:
        # The program itself may have become somebody else; the kernel vouches for its pid.
        if letter.sender not in self._conduct.senders and letter.pid != program.child.pid:
            self._warn(program, "sender", f"it came from the user {letter.sender}")
            return
        if not letter.whole:
            self._warn(program, "size", "it is too long")
            return
        said = parse(letter.text)
        program.spoke, program.ready_at = True, None
        self._heed(program, said, monotonic())
        if said.wrong:
            self._warn(program, "words", f"{said.wrong[0]!r} is not understood")

    def _heed(self, program: Program, said: Said, now: float) -> None:
        pool, slot = self._news.pool, program.child.slot
        if said.extension is not None:
            pool.apply(TimeExtended(slot, now + said.extension), now)
        if said.ready:
            self._ready(program, now)
        self._enter(program.row, said, now)  # what it says of now counts from now on
        if said.stopping:
            if pool.records[slot].state is State.READY:
                self._news.log.info("worker leaving", **fields(program.child))
            program.row.leave()
            pool.apply(WorkerLeaving(slot), now)

    def _enter(self, row: ProgramRow, said: Said, now: float) -> None:
        if said.status is not None:
            row.say(said.status)
        if said.units is not None:
            row.hold(said.units, now)
        if said.period is not None:
            row.watch(said.period, now)
        if said.alive is not None:
            row.beat(now) if said.alive else row.fail(now)

    def _warn(self, program: Program, what: str, reason: str) -> None:
        """Log why a notification does not count, once for each reason and program."""
        if what not in program.warned:
            program.warned.add(what)
            log = self._news.log
            log.warning("notification ignored", **fields(program.child), reason=reason)
