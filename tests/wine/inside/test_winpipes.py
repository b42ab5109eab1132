"""Pipes that are read without waiting, and which of them have something, told to a selector."""

import contextlib
import os
import selectors
import subprocess
import sys
import threading
from collections import deque

import pytest

from prefork.arbiter.programs.windows_pipes import PipeWatch
from prefork.platform.windows.pipes import output_pipe

AT_ONCE = 4096


class Loop:
    """A selector, with a watch of pipes."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.watch = PipeWatch(self.selector)
        self.found: deque = deque()  #: what was read, in order; None says that there was nothing
        self._open = contextlib.ExitStack()

    def pipe(self):
        pipe, writer = output_pipe(AT_ONCE, self.watch.note)
        self._open.callback(pipe.close)
        self.watch.register(pipe, selectors.EVENT_READ, lambda: self.read(pipe))
        return pipe, writer

    def read(self, pipe):
        with contextlib.suppress(BlockingIOError):
            self.found.append(pipe.read())

    def turn(self, limit=5.0):
        for key, _ in self.selector.select(limit):
            key.data()

    def until(self, condition):
        for _ in range(1000):
            if condition():
                return
            self.turn()
        raise AssertionError

    def close(self):
        self._open.close()
        self.watch.close()
        self.selector.close()


@pytest.fixture
def loop():
    """
    Everything is closed afterwards.
    """
    made = Loop()
    yield made
    made.close()


def test_what_is_written_wakes_the_loop_and_is_read(loop):
    """
    In order, whole, and at most so much in one turn; then there is nothing, then the end.
    """
    pipe, writer = loop.pipe()
    with pytest.raises(BlockingIOError):
        pipe.read()

    os.write(writer, b"hello")
    loop.until(lambda: loop.found)
    assert b"hello" == loop.found.popleft()
    with pytest.raises(BlockingIOError):
        pipe.read()

    os.write(writer, bytes(range(256)) * 40)
    loop.until(lambda: sum(map(len, loop.found)) == 10_240)
    assert bytes(range(256)) * 40 == b"".join(loop.found)
    assert max(map(len, loop.found)) <= AT_ONCE

    loop.found.clear()
    os.close(writer)
    loop.until(lambda: loop.found)
    assert [b""] == list(loop.found)
    assert b"" == pipe.read()


def test_a_writer_waits_for_its_reader_and_goes_on(loop):
    """
    Nothing is lost, and no more than a pipe holds is ahead.
    """
    pipe, writer = loop.pipe()
    written = []

    def write():
        for _ in range(100):
            written.append(os.write(writer, b"y" * 4096))
        os.close(writer)

    loop.watch.unregister(pipe)
    thread = threading.Thread(target=write)
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()
    assert sum(written) <= (1 << 16) + 2 * AT_ONCE

    loop.watch.register(pipe, selectors.EVENT_READ, lambda: loop.read(pipe))
    loop.until(lambda: b"" in loop.found)
    thread.join()
    assert 100 * 4096 == sum(map(len, loop.found))


def test_a_pipe_that_nobody_watches_is_left_alone(loop):
    """
    And it is heard when it is watched again, though it has told of its news already.
    """
    pipe, writer = loop.pipe()
    loop.turn()
    loop.watch.unregister(pipe)
    with pytest.raises(KeyError):
        loop.watch.unregister(pipe)
    os.write(writer, b"news")
    loop.turn(0.2)
    assert not loop.found

    loop.watch.register(pipe, selectors.EVENT_READ, lambda: loop.read(pipe))
    loop.until(lambda: loop.found)
    assert [b"news"] == list(loop.found)
    os.close(writer)


def test_the_last_words_of_a_process_are_there_at_its_end(loop):
    """
    Without another turn of the loop.
    """
    pipe, writer = loop.pipe()
    program = "import os; os.write(1, b'x' * 50_000); os.write(1, b'end')"
    process = subprocess.Popen([sys.executable, "-S", "-c", program], stdout=writer)
    os.close(writer)
    process.wait(20)

    found = b""
    while data := pipe.read():
        found += data
    assert b"x" * 50_000 + b"end" == found


def test_many_pipes_come_and_go(loop):
    """
    With a read under way, or one that has been finished; a writer meets with the end.
    """
    for number in range(100):
        pipe, writer = output_pipe(AT_ONCE, loop.watch.note)
        if number % 2:
            os.write(writer, b"z")
        pipe.close()
        with pytest.raises(OSError, match=r"."):
            os.write(writer, b"z")
        os.close(writer)
    loop.turn(0.2)
    assert not loop.found
