"""What programs print, on its way into the log."""

import contextlib
import selectors
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

from prefork.arbiter.child_events import fields
from prefork.arbiter.programs.output import Output
from prefork.core.states import Process
from prefork.logs.log import Log
from prefork.platform.base import Child

#: Bytes of a dead program's output that are still read: several pipes full.
MOST_LEFT: Final = 1 << 18

#: Lines that wait for the log's reader until programs have to wait, too: the log has room for
#: some more, and that is for what happens to the pool.
MOST_PENDING: Final = 500

#: Seconds until the log is looked at again.
PAUSE: Final = 0.1


class OutputWatch(Protocol):
    """Reports to the loop which sources have something to read: a selector, where it can."""

    def register(self, source: Any, events: int, read: Callable[[], object], /) -> object:
        """Have the loop call ``read`` whenever ``source`` has something."""

    def unregister(self, source: Any, /) -> object:
        """Leave ``source`` alone; raises KeyError when it is."""


class OutputLog:
    """The outputs of all living programs, read while the log has room."""

    def __init__(self, log: Log, watch: OutputWatch, clock: Callable[[], float]) -> None:
        self._log = log
        self._watch = watch
        self._clock = clock
        self._outputs: dict[Process, tuple[Child, list[Output]]] = {}
        self._paused_until: float | None = None

    def add(self, child: Child, outputs: list[Output]) -> None:
        """Log what comes from ``outputs`` as that of ``child``; they are ours now."""
        self._outputs[child.key] = child, outputs
        if self._paused_until is None:
            self._start_reading(child, outputs)

    def deadline(self) -> float | None:
        """Return when to look next; None if nothing is due."""
        return self._paused_until

    def look(self, now: float) -> None:
        """Go on, if the log's reader has made room."""
        if self._paused_until is None or now < self._paused_until:
            return
        for child, outputs in self._outputs.values():
            if not all(self._log_lines(child, output) for output in outputs):
                self._paused_until = now + PAUSE
                return
        self._paused_until = None
        for child, outputs in self._outputs.values():
            self._start_reading(child, outputs)

    def read_rest(self, child: Child) -> None:
        """Log what ``child`` has printed before its end."""
        for output in self._outputs[child.key][1]:
            output.read_rest(MOST_LEFT)
            self._log_lines(child, output)
            self._log.lost += len(output.lines)  # they can wait no longer

    def forget(self, child: Child) -> None:
        """Close the outputs of ``child``, which is gone."""
        for output in self._outputs.pop(child.key)[1]:
            self._stop_reading(output)
            output.close()

    def _start_reading(self, child: Child, outputs: list[Output]) -> None:
        for output in outputs:
            if output.is_open:
                read = partial(self._read, child, output)
                self._watch.register(output.source, selectors.EVENT_READ, read)

    def _stop_reading(self, output: Output) -> None:
        with contextlib.suppress(KeyError):  # at its end, or in a pause, this was done before
            self._watch.unregister(output.source)

    def _read(self, child: Child, output: Output) -> None:
        if self._paused_until is not None:
            return  # since this turn
        output.read()
        if not output.is_open:  # closed by the program, which may live on
            self._stop_reading(output)
        if not self._log_lines(child, output):
            self._pause(child.key)

    def _pause(self, process: Process) -> None:
        """Have programs wait for the log's reader, as they would without us."""
        self._paused_until = self._clock() + PAUSE
        # The one that was read last is last in the next turn, too; or it would take all the room.
        self._outputs[process] = self._outputs.pop(process)
        for _, outputs in self._outputs.values():
            for output in outputs:
                self._stop_reading(output)

    def _log_lines(self, child: Child, output: Output) -> bool:
        """Log what was read, as far as the log has room; return whether that was all."""
        named = fields(child)
        while output.lines:
            if self._log.pending >= MOST_PENDING:
                return False
            line = output.lines.popleft()
            self._log.info("output", **named, stream=output.stream, line=line)
        return True
