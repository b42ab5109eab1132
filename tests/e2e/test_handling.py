"""What handlers of each kind can count on."""

import socket
import subprocess
import sys

import pytest

from rig.clients import PATIENCE, Load, ask, connect, read_all, read_line, reset
from rig.systems import each_accept, each_method, on_posix
from rig.waiting import pause, stays, until

pytestmark = [pytest.mark.slow, pytest.mark.windows]

FAILING = """
import os, sys

def handle(connection, address):
    what = connection.recv(100).decode()
    if what == "raise":
        raise ValueError("on purpose")
    if what == "exit":
        sys.exit(5)
    if what == "interrupt":
        raise KeyboardInterrupt
    if what == "group":
        raise ExceptionGroup("many", [OSError("one"), ValueError("two")])
    connection.sendall(b"%d" % os.getpid())
"""


@pytest.mark.versions
@pytest.mark.parametrize(
    ("what", "error", "threads"),
    [
        on_posix(b"raise", "ValueError('on purpose')", "1"),
        (b"raise", "ValueError('on purpose')", "3"),
        (b"exit", "SystemExit(5)", "1"),
        on_posix(b"exit", "SystemExit(5)", "3"),
        (b"interrupt", "KeyboardInterrupt()", "1"),
        on_posix(b"group", "ExceptionGroup", "1"),
    ],
)
def test_no_exception_ends_a_worker(serve, what, error, threads):
    """
    It is logged with traceback, pid and peer, counted as failed, and the connection closed.
    """
    server = serve("-w", "1", "--threads", threads, source=FAILING).ready(1)
    before = server.pids()

    with server.connect() as client:
        peer = "{}:{}".format(*client.getsockname())
        client.sendall(what)
        assert b"" == client.recv(100)

    event = server.wait_for("handler failed")
    assert error in event["error"]
    assert "in handle" in event["traceback"]
    assert (before, peer) == ({event["pid"]}, event["peer"])
    assert before == {int(server.ask(b"well?"))}
    until(lambda: server.status()["totals"]["handled"] == 2)
    assert 1 == server.status()["totals"]["failed"]
    assert 1 == server.status()["workers"][0]["failed"]


def test_a_client_that_resets_is_the_handlers_problem_only(serve):
    """
    The exception that it causes is logged like any other.
    """
    server = serve("-w", "1").ready(1)
    client = server.connect()
    read_line(client)
    pause(0.2)  # Wine tells of it only to those who are waiting already

    reset(client)

    assert "ConnectionResetError" in server.wait_for("handler failed")["error"]
    assert server.ask(b"x").endswith(b"x")


@each_accept
def test_clients_that_vanish_from_the_queue_do_no_harm(serve, accept):
    """
    A reset while nobody has accepted yet may make accept fail: it is tried again.
    """
    server = serve("-w", "1", "--accept", accept).ready(1)
    with server.connect() as client:
        read_line(client)
        for _ in range(20):
            reset(server.connect())

    assert server.ask(b"x").endswith(b"x")
    assert 0 == server.stop()


@pytest.mark.versions
@each_accept
def test_threads_serve_as_many_at_once(serve, accept):
    """
    ``--threads 3`` and two workers: six connections at once, the seventh waits.
    """
    server = serve("-w", "2", "--threads", "3", "--accept", accept).ready(2)

    with server.held() as held:
        held.add(6)
        assert [3, 3] == sorted(held.pids.count(pid) for pid in set(held.pids))
        assert [3, 3] == [worker["active"] for worker in server.status()["workers"]]
        with server.connect() as waiting:
            waiting.setblocking(False)
            assert stays(lambda: _hears_nothing(waiting), 0.2)
            held.release(1)
            waiting.settimeout(PATIENCE)
            assert read_line(waiting).isdigit()
    until(lambda: server.status()["totals"]["handled"] == 7)
    assert [0, 0] == [worker["active"] for worker in server.status()["workers"]]


@each_accept
def test_a_threaded_server_stops_without_loss(serve, accept):
    """
    Every thread finishes what it holds; nobody is turned away.
    """
    server = serve("-w", "2", "--threads", "4", "--accept", accept).ready(2)

    with Load(server.address) as load:
        load.more(200)
        assert 0 == server.stop()

    assert [] == load.failures
    assert {"exit 0"} == {event["status"] for event in server.all("worker exited")}


def test_a_threaded_worker_with_a_busy_thread_finishes_it(serve):
    """
    The drain waits for the thread, and for nobody else.
    """
    server = serve("-w", "1", "--threads", "2").ready(1)
    with server.connect() as client:
        read_line(client)
        server.signal(15)
        server.wait_for("worker draining")
        client.sendall(b"still here")
        assert b"still here" == client.recv(100)

    assert 0 == server.wait()


def _hears_nothing(client):
    try:
        client.recv(1)
    except BlockingIOError:
        return True
    return False


@pytest.mark.versions
@each_method
def test_a_socketserver_handler(serve, start_method):
    """
    A subclass of StreamRequestHandler is served as its module would serve it.
    """
    source = """
        import socketserver

        class Upper(socketserver.StreamRequestHandler):
            def handle(self):
                for line in self.rfile:
                    self.wfile.write(line.upper())
                self.wfile.write(repr(self.client_address).encode())
                self.wfile.write(repr(self.server.server_address).encode())
    """
    options = ["-w", "1", "--start", start_method]
    server = serve(*options, source=source, target="app:Upper").ready(1)

    with server.connect() as client:
        names = f"{client.getsockname()!r}{client.getpeername()!r}"
        client.sendall(b"hello\nworld\n")
        client.shutdown(socket.SHUT_WR)
        answer = read_all(client)

    assert b"HELLO\nWORLD\n" + names.encode() == answer


@pytest.mark.parametrize(
    ("accept", "start_method"),
    [
        on_posix("blocking", "fork"),
        on_posix("exclusive", "spawn"),
        on_posix("mutex", "fork"),
        ("mutex", "spawn"),
    ],
)
def test_a_program_accepts_for_itself(serve, accept, start_method):
    """
    ``run(worker)`` loops over ``accept``, is counted, and leaves when it is asked to.
    """
    source = """
        import os

        def run(worker):
            served = 0
            for connection in worker.accept():
                served += 1
                connection.sendall(b"%d %d" % (os.getpid(), served))
            worker.log.info("program over", slot=worker.slot, served=served)
    """
    options = ["-w", "2", "--accept", accept, "--start", start_method]
    server = serve(*options, source=source, target="app:run").ready(2)

    answers = len(server.answers_of_all())

    until(lambda: server.status()["totals"]["handled"] == answers)
    assert 0 == server.stop()
    over = server.all("program over")
    assert [0, 1] == sorted(event["slot"] for event in over)
    assert answers == sum(event["served"] for event in over)


def test_a_program_may_use_the_listeners_itself(serve):
    """
    ``worker.listeners``, ``ready`` and ``stopping``: a loop of the user's own.
    """
    source = """
        import select

        def run(worker):
            [listener] = worker.listeners
            listener.setblocking(False)
            worker.ready()
            while not worker.stopping:
                if select.select([listener], [], [], 0.05)[0]:
                    try:
                        connection, _ = listener.accept()
                    except BlockingIOError:
                        continue
                    with connection:
                        connection.setblocking(True)
                        connection.sendall(b"by hand")
    """
    server = serve("-w", "2", source=source, target="app:run").ready(2)

    assert b"by hand" == server.ask()
    assert 0 == server.stop()
    assert {"exit 0"} == {event["status"] for event in server.all("worker exited")}


def test_a_program_is_not_ready_before_it_reports_it(serve):
    """
    What it prepares counts as its boot.
    """
    source = """
        import threading

        def run(worker):
            threading.Event().wait(0.6)
            for connection in worker.accept():
                connection.sendall(b"x")
    """
    server = serve("-w", "1", source=source, target="app:run").ready(1)

    assert server.all("worker ready")[0]["after"] >= 0.6


def test_a_program_that_raises_is_replaced(serve):
    """
    Its traceback is logged, its worker exits with 1, and another takes its place.
    """
    source = """
        def run(worker):
            for connection in worker.accept():
                if connection.recv(100) == b"raise":
                    raise ValueError("on purpose")
                connection.sendall(b"fine")
    """
    server = serve("-w", "1", source=source, target="app:run").ready(1)

    assert b"" == server.ask(b"raise")

    assert "on purpose" in server.wait_for("program failed")["traceback"]
    assert ("exit 1", "crashed") == tuple(
        server.wait_for("worker exited")[key] for key in ("status", "cause")
    )
    assert b"fine" == server.ask(b"x")


@pytest.mark.versions
@pytest.mark.posix
def test_a_handler_may_start_processes_and_wait_for_them(serve):
    """
    Nothing of prefork's signals or descriptors is in the way of ``subprocess``.
    """
    source = f"""
        import subprocess

        def handle(connection, address):
            code = "import os, signal; print(os.listdir('/proc/self/fd'), signal.getsignal(2))"
            done = subprocess.run([{sys.executable!r}, "-c", code], capture_output=True)
            connection.sendall(done.stdout + done.stderr + b"%d" % done.returncode)
    """
    for method in ("fork", "spawn"):
        server = serve("-w", "1", "--start", method, source=source).ready(1)

        answer = server.ask().decode()

        assert answer.startswith("['0', '1', '2', '3'] <built-in function default_int_handler>")
        assert answer.endswith("\n0")
        assert 0 == server.stop()


@pytest.mark.versions
@each_method
def test_a_handler_may_keep_a_thread_at_work(serve, start_method):
    """
    A worker that leaves waits for threads that are no daemons, as an interpreter does.
    """
    source = """
        import threading

        def later(done):
            done.wait(0.5)
            with open("trace", "w") as file:
                file.write("finished")

        def handle(connection, address):
            threading.Thread(target=later, args=[threading.Event()]).start()
            connection.sendall(b"accepted")
    """
    server = serve("-w", "1", "--start", start_method, source=source).ready(1)
    assert b"accepted" == server.ask()

    assert 0 == server.stop()

    assert "finished" == (server.directory / "trace").read_text()


@pytest.mark.versions
@each_method
def test_atexit_of_the_users_code_runs(serve, start_method):
    """
    Also in a forked worker.
    """
    source = """
        import atexit, os

        @atexit.register
        def leave():
            with open(f"left-{os.getpid()}", "w"):
                pass

        def handle(connection, address):
            connection.sendall(b"x")
    """
    server = serve("-w", "2", "--start", start_method, source=source).ready(2)
    pids = server.pids()
    assert 0 == server.stop()

    assert all((server.directory / f"left-{pid}").exists() for pid in pids)


@pytest.mark.versions
@pytest.mark.posix
def test_forked_workers_do_not_share_their_chance(serve):
    """
    ``random`` is seeded anew in each, as it is after any fork.
    """
    source = """
        import random

        def handle(connection, address):
            connection.sendall(b"%d" % random.getrandbits(64))
    """
    server = serve("-w", "4", "--start", "fork", source=source).ready(4)

    assert 4 == len({server.ask() for _ in range(4)})


def test_what_a_handler_prints_appears(serve):
    """
    Standard output of the workers is the server's own.
    """
    source = """
        def handle(connection, address):
            print("printed by the handler")
    """
    server = serve("-w", "1", source=source, stdout=subprocess.PIPE).ready(1)
    with server.process.stdout as out:
        server.ask()
        server.stop()

        assert b"printed by the handler" == out.read().rstrip()


def test_a_handler_that_keeps_the_connection_open_elsewhere_does_not_hold_the_client(serve):
    """
    prefork closes the connection when the handler returns.
    """
    source = """
        def handle(connection, address):
            connection.sendall(b"bye")
    """
    server = serve("-w", "1", source=source).ready(1)

    with connect(server.address) as client:
        assert b"bye" == read_all(client)


@pytest.mark.versions
def test_serve_from_python(write, start, host):
    """
    ``prefork.serve(handle, workers=2)`` with a function of the script itself.
    """
    script = write(
        """
        import os
        import sys

        import prefork

        def handle(connection, address):
            connection.sendall(b"%d" % os.getpid())

        if __name__ == "__main__":
            sys.exit(prefork.serve(handle, bind="127.0.0.1:0", workers=2, name=sys.argv[1],
                                   log_format="json"))
        """,
        "script.py",
    )
    server = start("--name", "api", command=host.python(host.shown(script), "api")).ready(2)

    assert {int(answer) for answer in server.answers_of_all()} == server.pids()
    assert 0 == server.stop()


@pytest.mark.versions
def test_the_server_of_a_script_ends_with_it(write, start, host):
    """
    kill -9 of the script that called ``prefork.serve``: the server stops, the port is free.
    """
    script = write(
        """
        import prefork

        if __name__ == "__main__":
            prefork.serve("prefork.echo:handle", bind="127.0.0.1:0", workers=1, name="api",
                          log_format="json")
        """,
        "script.py",
    )
    server = start("--name", "api", command=host.python(host.shown(script))).ready(1)
    address = server.address
    server.process.kill()

    until(lambda: _is_refused(address), what="the end of the server")

    until(
        lambda: host.operate(server.env, "status", "--name", "api").returncode == 6,
        what="a status that is gone",
    )


def _is_refused(address):
    try:
        ask(address)
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass
    return False
