"""Targets that do not load, load slowly, or do odd things while they are imported."""

import pytest

from rig.processes import children_of
from rig.systems import each_method, on_posix
from rig.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.windows]


@pytest.mark.versions
@pytest.mark.parametrize(
    ("start_method", "source", "reason", "traceback"),
    [
        on_posix("fork", "import no_such_module\n", "no_such_module", "import no_such_module"),
        ("spawn", "import no_such_module\n", "no_such_module", "import no_such_module"),
        on_posix("fork", "def handle(:\n", "SyntaxError", "def handle(:"),
        on_posix("fork", "raise SystemExit(0)\n", "SystemExit", "raise SystemExit(0)"),
        ("spawn", "raise SystemExit(0)\n", "SystemExit", "raise SystemExit(0)"),
        on_posix("fork", "import os\nos._exit(0)\n", None, None),
        ("spawn", "import os\nos._exit(0)\n", None, None),
        on_posix("fork", "other = 1\n", "app has none of the attributes", None),
        ("spawn", "handle = 42\n", "cannot be called", None),
    ],
)
def test_a_target_that_cannot_be_loaded_ends_the_server(
    serve, start_method, source, reason, traceback
):
    """
    Exit 4, the reason in the log, the user's traceback exactly once, however many workers.
    """
    server = serve("-w", "4", "--start", start_method, source=source)

    assert 4 == server.wait()

    failures = server.all("target cannot be loaded")
    assert [] == server.all("worker ready")
    if reason is not None:
        assert all(reason in event["reason"] for event in failures)
    shown = [event["traceback"] for event in failures if "traceback" in event]
    if traceback is None:
        assert [] == shown
    else:
        assert 1 == len(shown)
        assert traceback in shown[0]
        assert "Traceback (most recent call last)" in shown[0]
    assert [] == server.log.others


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("no_such_module:handle", "no module"),
        ("app:no_such_attribute", "no_such_attribute"),
        ("no_such_file.py", "no file"),
        ("./nonsense", "there is no file"),
    ],
)
def test_a_missing_target_is_named_in_the_log(serve, target, said):
    """
    Exit 4, with a sentence and no traceback of ours.
    """
    server = serve("-w", "1", target=target)

    assert 4 == server.wait()

    assert said in server.all("target cannot be loaded")[0]["reason"]


@pytest.mark.versions
@each_method
def test_a_factory_is_called_in_each_worker(serve, start_method):
    """
    ``--factory``: what it makes belongs to one process.
    """
    source = """
        import os

        def make():
            made = os.getpid()

            def handle(connection, address):
                connection.sendall(b"%d %d\\n" % (os.getpid(), made))

            return handle
    """
    options = ["-w", "2", "--factory", "--start", start_method]
    server = serve(*options, source=source, target="app:make").ready(2)

    answers = set(server.answers_of_all())

    assert 2 == len(answers)
    assert all(len(set(answer.split())) == 1 for answer in answers)


@each_method
def test_an_exception_in_the_factory_ends_the_server(serve, start_method):
    """
    Exit 4, the traceback once.
    """
    source = """
        def make():
            raise RuntimeError("no database")
    """
    options = ["-w", "3", "--factory", "--start", start_method]
    server = serve(*options, source=source, target="app:make")

    assert 4 == server.wait()

    shown = [e["traceback"] for e in server.all("target cannot be loaded") if "traceback" in e]
    assert 1 == len(shown)
    assert "no database" in shown[0]
    assert "in make" in shown[0]


@each_method
def test_an_exit_in_the_factory_ends_the_server(serve, start_method):
    """
    ``sys.exit`` where a handler should have been made is a target that cannot be loaded.
    """
    source = """
        import sys

        def make():
            sys.exit("not today")
    """
    options = ["-w", "1", "--factory", "--start", start_method]
    server = serve(*options, source=source, target="app:make")

    assert 4 == server.wait()

    assert "not today" in server.all("target cannot be loaded")[0]["reason"]


@each_method
def test_a_slow_import_is_waited_for(serve, start_method):
    """
    Clients that come meanwhile wait in the accept queue; all are served.
    """
    source = """
        import os, threading

        threading.Event().wait(1)

        def handle(connection, address):
            connection.sendall(connection.recv(100))
    """
    server = serve("-w", "2", "--start", start_method, source=source)

    with server.connect() as client:
        client.sendall(b"early")
        until(lambda: server.status()["state"] == "starting", what="a server that starts")
        assert b"early" == client.recv(100)

    server.ready(2)
    assert "running" == server.status()["state"]


@pytest.mark.versions
@pytest.mark.posix
def test_an_import_that_starts_a_thread_makes_auto_spawn(serve):
    """
    The log says why; the workers have their thread, and no mold is left.
    """
    source = """
        import threading

        stop = threading.Event()
        threading.Thread(target=stop.wait, name="metrics", daemon=True).start()

        def handle(connection, address):
            names = ",".join(thread.name for thread in threading.enumerate())
            connection.sendall(names.encode())
    """
    server = serve("-w", "2", source=source).ready(2)

    event = server.wait_for("pool decided", kind="start method")
    assert "warning" == event["level"]
    assert "metrics" in event["why"]
    assert b"MainThread,metrics" == server.ask()
    server.wait_for("mold exited")
    assert 0 == server.stop()


@pytest.mark.versions
@pytest.mark.posix
def test_a_thread_of_a_c_library_is_seen_too(serve):
    """
    One that ``threading`` does not know of counts as well.
    """
    source = """
        import _thread, select

        _thread.start_new_thread(select.select, ([], [], []))

        def handle(connection, address):
            connection.sendall(b"here")
    """
    server = serve("-w", "1", source=source).ready(1)

    assert "outside Python" in server.wait_for("pool decided", kind="start method")["why"]
    assert b"here" == server.ask()


@pytest.mark.versions
@pytest.mark.posix
def test_forking_in_spite_of_threads_is_warned_of(serve):
    """
    ``--start fork`` is obeyed, with one line about it.
    """
    source = """
        import threading

        threading.Thread(target=threading.Event().wait, name="metrics", daemon=True).start()

        def handle(connection, address):
            connection.sendall(b"forked")
    """
    server = serve("-w", "1", "--start", "fork", source=source).ready(1)

    assert "metrics" in server.wait_for("fork is not safe")["reason"]
    assert b"forked" == server.ask()


def test_workers_that_crash_at_their_start_end_the_server_after_a_while(serve):
    """
    Exit 3 after ``restart-intensity`` failures, each wait twice as long as the one before.
    """
    source = """
        import os

        def make():
            os._exit(3)
    """
    options = ["--factory", "--restart-delay", "0.05", "--restart-intensity", "4", "-w", "1"]
    server = serve(*options, source=source, target="app:make")

    assert 3 == server.wait()

    waits = [e["why"] for e in server.all("pool decided", kind="restart")]
    assert 4 == len(waits)
    assert ["0.05 s", "0.1 s", "0.2 s"] == [why.rpartition(" in ")[2] for why in waits[:3]]
    assert {"failed to start"} == {e["cause"] for e in server.all("worker exited")}
    assert 3 == server.all("stopped")[-1]["status"]


def test_workers_that_die_before_their_first_connection_are_a_crash_loop_too(serve):
    """
    Ready, then dead without having taken anything: to go on for ever helps nobody.
    """
    source = """
        import os

        def run(worker):
            worker.ready()
            os._exit(9)
    """
    options = ["--restart-delay", "0.02", "--restart-intensity", "3", "-w", "1"]
    server = serve(*options, source=source, target="app:run")

    assert 3 == server.wait()

    assert 3 <= len(server.all("worker exited", status="exit 9"))


def test_failed_starts_are_forgiven_by_a_success(serve, tmp_path):
    """
    What fails now and then recovers, and the server goes on.
    """
    source = f"""
        import os, pathlib

        tries = pathlib.Path({str(tmp_path / "tries")!r})

        def make():
            with tries.open("a") as file:
                file.write("x")
            if len(tries.read_text()) < 4:
                os._exit(1)
            return handle

        def handle(connection, address):
            connection.sendall(b"at last")
    """
    options = ["--restart-delay", "0.05", "--restart-intensity", "5", "-w", "1"]
    server = serve("--factory", *options, source=source, target="app:make").ready(1)

    assert b"at last" == server.ask()
    assert 3 == len(server.all("worker exited", cause="failed to start"))


@pytest.mark.parametrize("python", [["-P"], on_posix([])])
def test_modules_of_the_users_are_not_taken_for_those_of_the_library(serve, write, python):
    """
    What lies in the current directory is for the workers; the arbiter must not import it.
    """
    for name in ("selectors", "msgspec", "setproctitle", "shlex", "socket"):
        write("raise SystemExit('nobody asked for this')\n", f"{name}.py")
    source = """
        def handle(connection, address):
            connection.sendall(b"fine")
    """
    server = serve("-w", "1", source=source, python=python).ready(1)

    assert b"fine" == server.ask()


@pytest.mark.posix
@each_method
def test_no_process_of_the_start_is_left_behind(serve, start_method):
    """
    Neither what has read the settings nor a mold that nobody wanted, not even as a zombie.
    """
    source = """
        def handle(connection, address):
            pass
    """
    server = serve("-w", "1", "--start", start_method, source=source).ready(1)

    until(lambda: set(children_of(server.pid)) == set(server.family()[1:]))


@pytest.mark.posix
def test_a_mold_that_dies_before_it_is_adopted_leaves_no_zombie(serve, write):
    """
    The arbiter starts another one, and takes the dead one away at once.
    """
    write(
        """
        import os, signal
        from prefork.platform.posix import linux

        class Platform(linux.LinuxPlatform):
            def catch_signals(self):
                os.kill(self.early.pid, signal.SIGKILL)
                os.waitid(os.P_PID, self.early.pid, os.WEXITED | os.WNOWAIT)
                super().catch_signals()

        linux.LinuxPlatform = Platform
        """,
        "start/sitecustomize.py",
    )
    source = """
        def handle(connection, address):
            pass
    """
    server = serve("-w", "1", source=source, env={"PYTHONPATH": "start"}).ready(1)

    until(lambda: set(children_of(server.pid)) == set(server.family()[1:]))


@pytest.mark.posix
def test_an_error_of_the_arbiters_is_no_end_of_the_commands_output(serve, write):
    """
    A broken pipe within the arbiter is a bug with a traceback; that of the output is no error.
    """
    write(
        """
        from prefork.platform.posix import linux

        class Platform(linux.LinuxPlatform):
            def catch_signals(self):
                raise BrokenPipeError

        linux.LinuxPlatform = Platform
        """,
        "start/sitecustomize.py",
    )
    server = serve("-w", "1", source="handle = print", env={"PYTHONPATH": "start"})

    assert 1 == server.wait()

    server.log.refresh()
    assert any("BrokenPipeError" in line for line in server.log.others)


@pytest.mark.posix
@pytest.mark.versions
def test_threads_of_the_interpreters_start_are_in_every_process(serve, write):
    """
    A tracer has them from sitecustomize; a fork would lose them, and perhaps take their locks.
    """
    write(
        """
        import threading
        threading.Thread(target=threading.Event().wait, name="tracer", daemon=True).start()
        """,
        "start/sitecustomize.py",
    )
    source = """
        import threading

        def handle(connection, address):
            names = ",".join(thread.name for thread in threading.enumerate())
            connection.sendall(names.encode())
    """
    server = serve("-w", "1", source=source, env={"PYTHONPATH": "start"}).ready(1)

    assert "tracer" in server.wait_for("pool decided", kind="start method")["why"]
    assert b"MainThread,tracer" == server.ask()


@pytest.mark.posix
def test_what_was_printed_before_the_start_is_printed_once(serve, write, tmp_path):
    """
    Text that the interpreter still holds when the command forks is not written by each process.
    """
    write("print('hello')\n", "start/sitecustomize.py")
    source = """
        def handle(connection, address):
            pass
    """
    with (tmp_path / "printed").open("wb") as printed:
        options = {"env": {"PYTHONPATH": "start"}, "stdout": printed}
        server = serve("-w", "1", source=source, **options).ready(1)
        assert 0 == server.stop()

    assert "hello\n" == (tmp_path / "printed").read_text()


@pytest.mark.posix
def test_the_main_module_of_the_users_code_is_the_molds(serve):
    """
    Not the command: who starts a process with multiprocessing would import that once more.
    """
    source = """
        import sys

        def handle(connection, address):
            connection.sendall(sys.modules["__main__"].__spec__.name.encode())
    """
    server = serve("-w", "1", source=source).ready(1)

    assert b"prefork.worker.mold" == server.ask()


@each_method
def test_a_file_is_a_target(serve, write, tmp_path, start_method):
    """
    ``path/to/file.py:attribute``, with its neighbours importable.
    """
    write("GREETING = b'hello'\n", "sub/neighbour.py")
    write(
        """
        import neighbour

        class Greeter:
            def __call__(self, connection, address):
                connection.sendall(neighbour.GREETING)

        greet = Greeter()
        """,
        "sub/greeter.py",
    )
    server = serve("-w", "1", "--start", start_method, target="sub/greeter.py:greet").ready(1)

    assert b"hello" == server.ask()


def test_a_package_is_a_target(serve, write):
    """
    ``package.module`` without an attribute takes the first of app, application, handle, main.
    """
    write("", "pack/__init__.py")
    write(
        """
        def main(connection, address):
            connection.sendall(b"main")

        def application(connection, address):
            connection.sendall(b"application")
        """,
        "pack/inner.py",
    )
    server = serve("-w", "1", target="pack.inner").ready(1)

    assert b"application" == server.ask()


@pytest.mark.versions
@pytest.mark.posix
@each_method
def test_nothing_of_the_arbiters_leaks_into_a_worker(serve, start_method):
    """
    A worker holds what it needs: no control socket, no other worker's channel, no epoll of ours.
    """
    source = """
        import os

        def handle(connection, address):
            fds = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                   if os.path.lexists(f"/proc/self/fd/{fd}")]
            connection.sendall("\\n".join(fds).encode())
    """
    server = serve("-w", "4", "--start", start_method, source=source).ready(4)

    held = [server.ask().decode().splitlines() for _ in range(4)]

    assert 1 == len({len(fds) for fds in held})  # who comes later has nothing of who came before
    assert len(held[0]) <= 16
    for fds in held:
        assert "anon_inode:[eventpoll]" not in fds
        assert 4 >= sum("memfd" in fd for fd in fds)
    until(lambda: server.status()["totals"]["handled"] == 4)
