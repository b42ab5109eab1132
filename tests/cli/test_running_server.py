"""The operator commands against a server that really runs."""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import uuid
from contextlib import contextmanager

import pytest

pytestmark = pytest.mark.slow


@contextmanager
def echo_server(*argv, bind="tcp://127.0.0.1:0", fds=()):
    """Run `prefork echo` under its own name; it has a ready worker, and is killed at the end."""
    name = f"cli-{uuid.uuid4().hex[:12]}"
    command = [sys.executable, "-m", "prefork", "echo", "-b", bind, "--name", name]
    # Unbuffered: select(2) must not sleep on lines that a buffer already holds.
    process = subprocess.Popen([*command, *argv], stderr=subprocess.PIPE, bufsize=0, pass_fds=fds)
    try:
        wait_for_event(process.stderr, "worker ready")
        yield name, process
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGCONT)
            process.kill()
        process.communicate()


def wait_for_event(stream, event, limit=20):
    selector = selectors.DefaultSelector()
    selector.register(stream, selectors.EVENT_READ)
    with selector:
        while selector.select(limit):
            line = stream.readline()
            assert line, f"it ended before {event}"
            if event.encode() in line:
                return
    raise AssertionError(f"no {event} within {limit} s")


def prefork(*argv):
    done = subprocess.run(
        [sys.executable, "-m", "prefork", *argv], capture_output=True, text=True, timeout=30
    )
    return done.returncode, done.stdout, done.stderr


def test_a_server_answers_status_scale_why_and_stop():
    """
    By its name; the same process is the arbiter from the first line on.
    """
    with echo_server("-w", "1..2") as (name, process):
        code, output, _ = prefork("status", "--json", "--name", name)
        status = json.loads(output)

        assert (code, status["name"], status["pid"]) == (0, name, process.pid)
        assert prefork("scale", "2", "--name", name)[0] == 0
        assert json.loads(prefork("why", "--json", "--name", name)[1])["decisions"]
        assert "accept" in prefork("dump", "0", "--name", name)[1]
        assert prefork("dump", "99", "--name", name)[0] == 2
        assert prefork("stop", "--name", name) == (0, f"{name} has stopped\n", "")
        assert process.wait(10) == 0
        assert prefork("status", "--name", name)[0] == 6


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_an_adopted_sockets_backlog_is_its_own(family):
    """
    As its owner has set it, whatever prefork's settings are.
    """
    with socket.socket(family) as listener:
        name = f"\0cli-{uuid.uuid4().hex[:12]}"
        listener.bind(name if family == socket.AF_UNIX else ("127.0.0.1", 0))
        listener.listen(50)
        fd = listener.fileno()
        with echo_server("-w", "1", bind=f"fd://{fd}", fds=[fd]) as (server, _):
            status = json.loads(prefork("status", "--json", "--name", server)[1])

    assert [(0, 50)] == [(each["queued"], each["backlog"]) for each in status["listeners"]]


def test_a_stopped_arbiter_still_has_a_status():
    """
    It is read from the scoreboard's file; requests to the arbiter get no answer.
    """
    with echo_server("-w", "1") as (name, process):
        os.kill(process.pid, signal.SIGSTOP)

        assert prefork("status", "--name", name)[0] == 0
        code, _, error = prefork("why", "--name", name)

        assert code == 6
        assert "did not answer within 5 s" in error


def test_watching_ends_with_ctrl_c():
    """
    Without a message; in JSON one line each second.
    """
    with echo_server("-w", "1") as (name, _):
        for flags in ([], ["--json"]):
            command = [sys.executable, "-m", "prefork", "status", "--watch", "--name", name]
            watch = subprocess.Popen(
                [*command, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            try:
                assert name.encode() in watch.stdout.readline()
                watch.send_signal(signal.SIGINT)
                _, error = watch.communicate(timeout=10)
            finally:
                watch.kill()

            assert (watch.returncode, error) == (0, b"")


def test_watching_ends_when_the_server_does():
    """
    With a sentence, and the exit code for a missing server.
    """
    with echo_server("-w", "1") as (name, _):
        command = [sys.executable, "-m", "prefork", "status", "--watch", "--json", "--name", name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watch:
            watch.stdout.readline()
            assert prefork("stop", "--now", "--name", name)[0] == 0
            _, error = watch.communicate(timeout=10)

    assert (watch.returncode, error) == (6, f"prefork: the server {name} is gone\n".encode())
