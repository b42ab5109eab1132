"""What programs print, on its way into a log that is read slowly."""

import itertools
import time
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from prefork.arbiter.programs.output import Output
from prefork.arbiter.programs.output_log import MOST_PENDING, PAUSE, OutputLog


class SlowLog:
    """Takes lines, and has them read when the test says so."""

    def __init__(self):
        self.lines = []
        self.pending = 0
        self.lost = 0

    def info(self, event, **fields):
        assert "output" == event
        self.lines.append((fields["slot"], fields["line"]))
        self.pending += 1

    def read(self, count):
        self.pending = max(self.pending - count, 0)


class Watch:
    """A selector whose sources always have something."""

    def __init__(self):
        self.readers = {}

    def register(self, source, events, read):
        self.readers[source] = read

    def unregister(self, source):
        del self.readers[source]

    def turn(self):
        for source, read in list(self.readers.items()):
            if source in self.readers:
                read()


class Flood:
    """Prints without end."""

    def __init__(self, slot):
        self._numbers = itertools.count()
        self.slot = slot

    def read(self):
        return b"".join(b"%d\n" % next(self._numbers) for _ in range(60))

    def close(self):
        pass


@pytest.fixture
def flooded():
    """
    Three programs that print without end, and their log.
    """
    log: Any = SlowLog()
    watch = Watch()
    output_log = OutputLog(log, watch, time.monotonic)
    for slot in range(3):
        child: Any = SimpleNamespace(slot=slot, key=slot, generation=1, pid=100 + slot)
        output_log.add(child, [Output("stdout", Flood(slot))])
    return log, watch, output_log


def test_a_slow_reader_lets_programs_wait_and_loses_nothing(flooded):
    """
    Nobody is read any more until the lines that wait are fewer; each one's are in order.
    """
    log, watch, output_log = flooded
    while watch.readers:
        watch.turn()
    assert MOST_PENDING == log.pending
    assert output_log.deadline() is not None

    for _ in range(50):
        log.read(100)
        output_log.look(output_log.deadline() or PAUSE)
        watch.turn()
        assert log.pending <= MOST_PENDING

    for slot in range(3):
        numbers = [int(line) for owner, line in log.lines if owner == slot]
        assert list(range(len(numbers))) == numbers
    assert 0 == log.lost


def test_no_program_is_kept_from_the_log_by_others(flooded):
    """
    Though each could fill it alone.
    """
    log, watch, output_log = flooded
    for _ in range(200):
        watch.turn()
        log.read(20)
        if (moment := output_log.deadline()) is not None:
            output_log.look(moment)

    heard = Counter(slot for slot, _ in log.lines[1000:])
    assert 3 == len(heard)
    assert min(heard.values()) >= 0.5 * max(heard.values())
