"""Processes: started with what they need, in a job, ended."""

import contextlib
import os
import sys

import pytest
from test_win32 import open_handles, opened

from prefork.platform.windows.api import Event, Job, Waits
from prefork.platform.windows.files import content_of, handle_of, memory_file
from prefork.platform.windows.process import interpreter, start


@pytest.fixture
def job():
    """
    A job that ends with the test.
    """
    with Job.create() as job:
        yield job


@contextlib.contextmanager
def streams():
    """Yield descriptors of an empty input, and of a file for both outputs."""
    nothing, output = os.open(os.devnull, os.O_RDWR), memory_file("output", append=True)
    try:
        yield nothing, output
    finally:
        os.close(nothing)
        os.close(output)


def run(job, *words, environ=os.environ, inherited=()):
    """Return a started process, and a function that returns what it has written."""
    with streams() as (nothing, output):
        three = (handle_of(nothing), handle_of(output), handle_of(output))
        with start(words, environ, three, inherited, job.value) as process:
            assert 0 == Waits([process.value]).wait(20)
            return process.exit_code(), content_of(output).decode()


def test_words_and_variables_arrive_as_they_are(job):
    """
    Blanks, quotes, backslashes, and characters beyond ASCII.
    """
    words = ["a b", 'say "x"', "back\\slash\\", "", "Grüße", "%PATH%"]
    script = "import os, sys; print(ascii([sys.argv[1:], os.environ['SAID']]))"

    code, output = run(
        job, sys.executable, "-c", script, *words, environ={**os.environ, "SAID": "schön"}
    )

    assert (0, ascii([words, "schön"])) == (code, output.strip())


@pytest.mark.parametrize("code", [0, 1, 3, 259, 0xC0000005])
def test_an_exit_code_is_told(job, code):
    """
    Also the one that Windows takes for "still active".
    """
    script = f"import ctypes; ctypes.windll.kernel32.ExitProcess(ctypes.c_uint({code}))"

    assert code == run(job, sys.executable, "-c", script)[0]


def test_what_is_named_is_inherited_and_nothing_else(job):
    """
    Of many inheritable handles, those that are meant are open in the process.

    There are so many because it has handles of its own, whose numbers are the lowest ones.
    """
    script = (
        "import os, sys\n"
        "for handle in map(int, sys.argv[1:]):\n"
        "    try:\n"
        "        print(os.get_handle_inheritable(handle))\n"
        "    except OSError:\n"
        "        print('none')\n"
    )
    with contextlib.ExitStack() as stack:
        events = [stack.enter_context(Event.create()) for _ in range(4000)]
        for event in events:
            os.set_handle_inheritable(event.value, True)
        asked = [event.value for event in events[-3:]]

        words = (sys.executable, "-c", script, *map(str, asked))
        code, output = run(job, *words, inherited=asked[1:2])

    assert (0, ["none", "True", "none"]) == (code, output.split())


def test_what_cannot_be_started_is_an_error(job):
    """
    And nothing is left open, nor inheritable.
    """
    with Event.create() as event:
        before = open_handles()
        for _ in range(50):
            with pytest.raises(FileNotFoundError):
                run(job, r"C:\no\such\program.exe", inherited=[event.value])

        assert not os.get_handle_inheritable(event.value)
        assert open_handles() <= before + 5


def test_the_end_of_a_job_is_that_of_all_in_it():
    """
    A process that its process has started is in it, too.
    """
    script = (
        "import subprocess, sys; "
        "inner = subprocess.Popen([sys.executable, '-c', 'import os; os.read(0, 1)'], "
        "stdin=subprocess.PIPE); print(inner.pid, flush=True); inner.wait()"
    )
    job = Job.create()
    with streams() as (nothing, output):
        three = (handle_of(nothing), handle_of(output), handle_of(output))
        with start([sys.executable, "-c", script], os.environ, three, (), job.value) as process:
            with Event.create() as never:
                while not content_of(output).endswith(b"\n"):
                    Waits([never.value]).wait(0.01)
            assert process.exit_code() is None
            with opened(int(content_of(output))) as inner:
                job.close()

                assert 0 == Waits([process.value]).wait(5)
                assert 0 == Waits([inner.value]).wait(5)


def test_an_ended_process_can_be_ended_again(job):
    """
    Whoever kills need not know whether it died first.
    """
    with streams() as (nothing, output):
        three = (handle_of(nothing), handle_of(output), handle_of(output))
        argv = [sys.executable, "-c", "pass"]
        with start(argv, os.environ, three, (), job.value) as process:
            Waits([process.value]).wait(20)
            process.terminate(5)

            assert 0 == process.exit_code()


def test_a_python_like_ours_is_the_real_one():
    """
    Outside of a virtual environment that is the one that runs.
    """
    executable, environ = interpreter()

    assert (sys.executable, dict(os.environ)) == (executable, environ)
