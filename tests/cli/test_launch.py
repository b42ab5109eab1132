"""Starting the arbiter: targets as text, the settings' file, a child that gets our signals."""

import json
import os
import signal
import socketserver
import subprocess
import sys
import threading

import msgspec
import pytest

from prefork.errors import HandlerError, SettingsError
from prefork.launch.child import run_child
from prefork.launch.posix import settings_file
from prefork.launch.python import serve
from prefork.launch.targets import target_text
from prefork.platform.service_manager import forget_passed_sockets
from prefork.settings import Settings


class Handler(socketserver.BaseRequestHandler):
    class Inner(socketserver.BaseRequestHandler):
        pass


def test_a_text_is_a_target_as_it_is():
    """
    The command line takes the same.
    """
    assert target_text("app:handle") == "app:handle"


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (json.dumps, "json:dumps"),
        (socketserver.StreamRequestHandler, "socketserver:StreamRequestHandler"),
        (os.path.join, "posixpath:join"),
    ],
)
def test_an_object_of_a_module_is_named_by_its_module(target, text):
    """
    The module in which it is defined, not the one it was imported from.
    """
    assert text == target_text(target)


def test_a_class_within_a_class_can_be_a_target():
    """
    By its qualified name.
    """
    assert target_text(Handler.Inner).endswith(":Handler.Inner")


def nested():
    def handle(connection, address): ...

    return handle


@pytest.mark.parametrize(
    "target", [lambda connection, address: None, nested(), Handler(None, None, None).handle, 3]
)  # fmt: skip
def test_what_workers_cannot_import_is_refused(target):
    """
    A lambda, a nested function, a bound method, an object without a name.
    """
    with pytest.raises(HandlerError, match="import"):
        target_text(target)


SCRIPTS = {
    "alone.py": (
        "from prefork.launch.targets import target_text\n"
        "def handle(connection, address): pass\n"
        "print(target_text(handle))\n",
        "alone.py:handle",
    ),
    "beside.py": (
        "from prefork.launch.targets import target_text\n"
        "import other\n"
        "print(target_text(other.handle))\n",
        "other.py:handle",
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_scripts_own_functions_are_found_by_their_file(tmp_path, name):
    """
    Workers do not know the script as __main__, nor its directory as an import path.
    """
    script, expected = SCRIPTS[name]
    (tmp_path / name).write_text(script)
    (tmp_path / "other.py").write_text("def handle(connection, address): pass\n")

    output = subprocess.run(
        [sys.executable, tmp_path / name], cwd="/", capture_output=True, check=True, timeout=30
    ).stdout.decode()

    assert output.strip() == f"{tmp_path}/{expected}"


def test_a_script_that_serves_while_it_is_imported_is_refused(tmp_path):
    """
    Each worker would start a server, whose workers would start a server.
    """
    script = tmp_path / "script.py"
    script.write_text(
        "from prefork import serve\ndef handle(connection, address): pass\nserve(handle)\n"
    )

    done = subprocess.run(
        [sys.executable, "-m", "prefork", "check", script],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip

    assert done.returncode == 4
    assert 'put the call under if __name__ == "__main__"' in done.stderr.splitlines()[-1]


def test_the_settings_travel_in_a_file_without_a_name():
    """
    The process that gets the descriptor reads them from the beginning.
    """
    settings = Settings(target="app", env=("A=1",), umask=0o22)

    with settings_file(settings) as file, open(os.dup(file.fileno()), "rb") as inherited:
        assert settings == msgspec.json.decode(inherited.read(), type=Settings)


def test_variables_of_passed_sockets_are_removed():
    """
    Otherwise a worker would use the sockets as its own.
    """
    environ = {"LISTEN_FDS": "1", "LISTEN_PID": "2", "LISTEN_FDNAMES": "x", "NOTIFY_SOCKET": "y"}

    forget_passed_sockets(environ)

    assert environ == {"NOTIFY_SOCKET": "y"}


def test_serve_reports_all_mistakes_at_once(elsewhere):
    """
    Python's values and texts alike, and arguments that are not settings.
    """
    with pytest.raises(SettingsError) as raised:
        serve(
            "app:handle", bind=["nowhere"], workers=0, timeout=-1.5, umask=0o1000, env={"A": 1},
            threads=[1, 2], wrokers=3, max_requests=5, log_level=None,
        )  # fmt: skip

    problems = raised.value.problems
    words = [
        "bind cannot be 'nowhere' (from argument bind)", "workers cannot be '0'",
        "timeout cannot be", "umask cannot be '1000'",
        "threads cannot be [1, 2] (from argument threads)",
        "argument wrokers; did you mean workers?", "max_requests is not offered",
    ]  # fmt: skip
    assert all(any(word in problem for problem in problems) for word in words), problems
    assert len(words) == len(problems)


@pytest.mark.parametrize(("code", "expected"), [("raise SystemExit(3)", 3), ("pass", 0)])
def test_the_childs_exit_code_is_returned(code, expected):
    """
    Whatever it means.
    """
    assert expected == run_child([sys.executable, "-c", code], os.environ, ())


def test_a_death_by_signal_is_reported_as_in_a_shell():
    """
    128 and the signal's number.
    """
    code = "import os; os.kill(os.getpid(), 9)"

    assert run_child([sys.executable, "-c", code], os.environ, ()) == 128 + signal.SIGKILL


CHILD = """\
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGTTIN, signal.SIGUSR1})
assert os.getpgrp() == os.getpid()
for wanted in (signal.SIGTTIN, signal.SIGUSR1, signal.SIGTERM):
    os.kill(os.getppid(), wanted)
    assert signal.sigtimedwait([wanted], 10) is not None
sys.exit(7)
"""


def test_signals_are_passed_on_and_the_handlers_restored():
    """
    The child is in its own process group, so it gets them only from its parent.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGCHLD)}

    assert run_child([sys.executable, "-c", CHILD], os.environ, ()) == 7
    assert handlers == {number: signal.getsignal(number) for number in handlers}
    assert signal.set_wakeup_fd(-1) == -1


def test_outside_the_main_thread_signals_are_left_alone():
    """
    Only the main thread can handle them; the child is still waited for.
    """
    codes = []
    thread = threading.Thread(
        target=lambda: codes.append(run_child([sys.executable, "-c", "exit(5)"], os.environ, ()))
    )
    thread.start()
    thread.join(30)

    assert codes == [5]


SERVES = """\
import os, socket, sys, threading
import prefork

def handle(connection, address):
    connection.sendall(str(os.getppid()).encode())

if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    def ask():
        with socket.create_connection(("127.0.0.1", port)) as client:
            print(client.recv(99).decode(), os.getpid(), flush=True)
        os.kill(os.getpid(), 15)
    threading.Thread(target=ask, daemon=True).start()
    sys.exit(prefork.serve(
        handle, bind=f"fd://{listener.fileno()}", workers=1, control="off", name="launch-test",
    ))
"""


@pytest.mark.slow
def test_a_function_of_a_script_is_served_on_a_socket_of_the_script(tmp_path, elsewhere):
    """
    The whole way: function → file, descriptor → arbiter → worker, TERM → graceful stop, exit 0.
    """
    (tmp_path / "script.py").write_text(SERVES)

    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"], capture_output=True, text=True, timeout=30
    )

    assert done.returncode == 0, done.stderr
    arbiter, script = done.stdout.split()
    assert arbiter != script
    assert "stopped" in done.stderr


@pytest.mark.slow
def test_a_script_without_a_suffix_can_serve_its_function(tmp_path, elsewhere):
    """
    Like those in /usr/local/bin: workers import it by its path.
    """
    (tmp_path / "script").write_text(SERVES)

    done = subprocess.run(
        [sys.executable, tmp_path / "script"], capture_output=True, text=True, timeout=30
    )

    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 2


@pytest.mark.slow
def test_a_script_can_serve_from_a_removed_directory(tmp_path, elsewhere):
    """
    If chdir names another one; otherwise that is a mistake like any other.
    """
    script = tmp_path / "script.py"
    script.write_text(SERVES.replace("workers=1,", "workers=1, chdir='/',"))
    (tmp_path / "lost.py").write_text(
        "import prefork\n"
        "try: prefork.serve('app')\n"
        "except prefork.SettingsError as error: print(error)\n"
    )
    gone = "mkdir gone && cd gone && rmdir ../gone && exec"

    served, lost = (
        subprocess.run(
            ["sh", "-c", f"{gone} {sys.executable} {tmp_path / name}"],
            capture_output=True, text=True, timeout=30,
        )
        for name in ("script.py", "lost.py")
    )  # fmt: skip

    assert served.returncode == 0, served.stderr
    assert "the current directory does not exist any more" in lost.stdout, lost.stderr
