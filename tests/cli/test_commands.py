"""The command as its users meet it: sentences and exit codes, in processes of their own."""

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

import prefork as prefork_package
from prefork.cli import COMMANDS

APP = """\
def handle(connection, address): pass
def run(worker): pass
number = 3
def make(): return handle
def broken(): raise RuntimeError("no database")
"""


@pytest.fixture
def prefork(elsewhere):
    """Run the command in a directory with app.py; return exit code, output, error lines."""
    (elsewhere / "app.py").write_text(APP)

    def run(*argv, **environ):
        done = subprocess.run(
            [sys.executable, "-m", "prefork", *argv],
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
        )
        return done.returncode, done.stdout, done.stderr.splitlines()

    return run


def test_five_mistakes_give_five_sentences_and_exit_2(prefork):
    """
    At once, each on its own line that begins with the program's name; never a traceback.
    """
    code, output, lines = prefork(
        "serve", "app:handle", "--workers", "many", "--timeout", "soon", "--wrokers", "5",
        "-k", "gevent", "--bind",
    )  # fmt: skip

    assert (code, output, len(lines)) == (2, "", 5)
    assert all(line.startswith("prefork: ") for line in lines)


def test_a_missing_target_is_a_mistake(prefork):
    """
    It may come from any source.
    """
    code, _, [line] = prefork("serve")

    assert code == 2
    assert "TARGET is missing" in line


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["sevre"], "did you mean serve?"),
        (["app:handle"], "did you mean prefork serve app:handle?"),
        (["reload"], "not offered"),
        (["top"], "not offered"),
        (["--bind", ":1"], "a command comes first"),
        (["serve", "app:handle", "--config", "no.toml"], "no.toml"),
        (["echo", "app:handle"], "one too many"),
        (["echo", "--kind", "program"], "--kind"),
        (["scale"], "how many workers"),
        (["scale", "8..1"], "MIN not above MAX"),
        (["scale", "auto"], "'auto'"),
        (["dump", "first"], "whole number"),
        (["stop", "--control", "tcp://:1"], "unix:PATH"),
        (["why", "--jsno"], "did you mean --json?"),
        (["status", "--name"], "needs a value"),
    ],
)
def test_a_mistake_in_the_command_line_is_exit_2(prefork, argv, word):
    """
    With a sentence that helps.
    """
    code, _, lines = prefork(*argv)

    assert code == 2
    assert any(word in line for line in lines), lines


def test_without_a_command_the_help_is_shown(prefork):
    """
    On standard error, as a mistake: a script that does so is wrong.
    """
    code, output, lines = prefork()

    assert (code, output) == (2, "")
    assert all(any(f"  {name} " in line for line in lines) for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(prefork, command):
    """
    On standard output, without any other effect.
    """
    code, output, lines = prefork(command, "--help")

    assert (code, lines) == (0, [])
    assert output.startswith(f"usage: prefork {command}")


def test_the_help_is_made_from_the_settings(prefork):
    """
    With default and variable; aliases of other servers are not shown.
    """
    _, output, _ = prefork("serve", "--help", COLUMNS="200")

    assert re.search(r"--graceful-timeout SECONDS\s.*\[30;\s+PREFORK_GRACEFUL_TIMEOUT\]", output)
    assert "--timeout-graceful-shutdown" not in output


def test_the_version_is_printed(prefork):
    """
    With the program's name.
    """
    code, output, _ = prefork("--version")

    assert code == 0
    assert re.fullmatch(r"prefork \d+\.\d+\.\d+\S*\n", output)


def test_check_shows_every_setting_with_its_source(prefork, elsewhere):
    """
    Whatever source it is from.
    """
    (elsewhere / "prefork.toml").write_text("threads = 3\n")

    code, output, lines = prefork(
        "check", "app", "--pid", "/tmp/x", "--port", "81", PREFORK_TIMEOUT="1m", PORT="80"
    )

    rows = dict(line.split(maxsplit=1) for line in output.splitlines()[2:])
    assert (code, lines) == (0, [])
    assert output.startswith("app:handle is a handler of the kind stream\n")
    assert rows["threads"].split(maxsplit=1) == ["3", "prefork.toml"]
    assert rows["timeout"].split(maxsplit=1) == ["60", "PREFORK_TIMEOUT"]
    assert rows["pidfile"].split(maxsplit=1) == ["/tmp/x", "flag --pidfile"]
    assert rows["bind"].split(maxsplit=1) == ["tcp://127.0.0.1:81", "flag --port"]
    assert rows["backlog"].split(maxsplit=1) == ["2048", "default"]


def test_check_can_print_json(prefork):
    """
    The same for a program to read.
    """
    _, output, _ = prefork("check", "app:make", "--factory", "--json", "-w", "1..3")

    answer = json.loads(output)
    assert answer["handler"] == {"name": "app:make", "kind": "stream"}
    assert answer["settings"]["workers"] == {
        "value": {"minimum": 1, "maximum": 3}, "source": "flag --workers",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["nope"], ["there is no module 'nope'"]),
        (["app:nope"], ["no attribute 'nope'"]),
        (["app:broken", "--factory"], ["RuntimeError: no database", 'raise RuntimeError("no data']),
        (["exits.py"], ["SystemExit"]),
        (["app:run", "--kind", "stream"], ["app:run cannot be served as stream"]),
        (["app:number", "--kind", "stream"], ["app:number is of the type int"]),
        (["./"], ["is a directory"]),
    ],
)
def test_a_target_that_cannot_be_loaded_is_exit_4(prefork, elsewhere, argv, words):
    """
    With the sentence, and the traceback of the user's code where it has one.
    """
    (elsewhere / "exits.py").write_text("raise SystemExit(0)\n")

    code, _, lines = prefork("check", *argv)

    assert code == 4
    assert lines[-1].startswith("prefork: ")
    assert all(any(word in line for line in lines) for word in words), lines


@pytest.mark.parametrize("command", ["status", "stop", "why", "dump", "scale"])
def test_no_such_server_is_exit_6(prefork, command):
    """
    One sentence.
    """
    words = ["3"] if command == "scale" else []

    code, _, [line] = prefork(command, *words, "--name", "nobody-has-this-name")

    assert code == 6
    assert line.startswith("prefork: no server called nobody-has-this-name runs")


@pytest.mark.parametrize(
    ("flags", "bind"),
    [
        (["--port", "81"], ["tcp://127.0.0.1:81"]),
        (["--host", "::1"], ["tcp://[::1]:8000"]),
        (["--host", "h", "--port", "81"], ["tcp://h:81"]),
        (["--uds", "/tmp/x"], ["unix:/tmp/x"]),
        (["--fd", "5", "-b", ":1"], ["tcp://0.0.0.0:1", "fd://5"]),
    ],
)
def test_other_servers_address_flags_are_accepted(prefork, flags, bind):
    """
    Without a message.
    """
    _, output, _ = prefork("check", "app", "--json", *flags)

    assert bind == json.loads(output)["settings"]["bind"]["value"]


def test_sockets_passed_by_systemd_are_adopted(prefork, elsewhere):
    """
    If LISTEN_PID is the process itself: the shell's, which execs the command.
    """
    script = f"export LISTEN_PID=$$; exec {sys.executable} -m prefork check app --json"
    environ = {**os.environ, "LISTEN_FDS": "2"}

    output = subprocess.run(
        ["sh", "-c", script], env=environ, capture_output=True, check=True, timeout=30
    ).stdout

    assert json.loads(output)["settings"]["bind"] == {
        "value": ["fd://3", "fd://4"], "source": "LISTEN_FDS",
    }  # fmt: skip


def test_a_reader_that_leaves_early_gets_no_traceback(prefork, elsewhere):
    """
    As in `prefork check app | head -1`.
    """
    script = f"{sys.executable} -m prefork check app --json | true"

    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True, timeout=30)

    assert done.stderr == b""


@pytest.mark.parametrize(
    "command", [["status", "--name", "held"], ["check", "app"], ["serve", "--help"]]
)
def test_a_full_disk_is_one_sentence_and_exit_1(prefork, elsewhere, command):
    """
    Whether it is found while printing or at the end.
    """
    runtime = elsewhere / "r"
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(runtime), "RUNTIME_DIRECTORY": str(runtime)}
    argv = [sys.executable, "-m", "prefork", *command]

    with scoreboard_of(runtime, environ), open("/dev/full", "w") as full:
        done = subprocess.run(
            argv, env=environ, stdout=full, stderr=subprocess.PIPE, text=True, timeout=30
        )

    assert (1, "prefork: the output cannot be written: No space left on device\n") == (
        done.returncode, done.stderr,
    )  # fmt: skip


@contextmanager
def scoreboard_of(runtime, environ):
    """Keep what `prefork status` finds in ``runtime``: a scoreboard, and a process holding it."""
    runtime.mkdir(mode=0o700)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, runtime / "held.scoreboard"],
        env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as holder:  # fmt: skip
        assert b"held\n" == holder.stdout.readline()
        yield
        holder.stdin.close()


HOLDS = """\
import os, sys, time
from prefork.ipc import run_files
from prefork.arbiter.scoreboard_writer import ScoreboardWriter
from prefork.ipc.scoreboard import Description, Scoreboard
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
run_files.hold(fd)
scoreboard = ScoreboardWriter(Scoreboard.create(fd), os.getpid(), time.monotonic())
scoreboard.describe(Description("held", "app"), "blocking")
print("held", flush=True)
sys.stdin.read()
"""


def test_check_ends_though_the_target_started_a_thread(prefork, elsewhere):
    """
    With all of its output, whether the target is valid or not.
    """
    (elsewhere / "threads.py").write_text(
        "import threading\n"
        "threading.Thread(target=threading.Event().wait).start()\n"
        "def handle(connection, address): pass\n"
    )

    assert prefork("check", "threads")[0] == 0
    assert "threads:handle is a handler of the kind stream" in prefork("check", "threads")[1]
    assert prefork("check", "threads:absent")[0] == 4


@pytest.mark.parametrize(
    ("argv", "module"),
    [
        (["serve", "app"], "argparse"),
        (["serve", "app"], "prefork.settings"),
        (["status"], "prefork.ipc.run_files"),
        (["nonsense"], "prefork.settings.names"),
        (["check", "app"], "app"),
    ],
)
def test_ctrl_c_during_an_import_is_exit_130(prefork, elsewhere, argv, module):
    """
    Without a message.
    """
    place = elsewhere / "first"
    place.mkdir()
    (place / "sitecustomize.py").write_text(INTERRUPTS.format(module=module))

    assert (130, "", []) == prefork(*argv, PYTHONPATH=str(place))


def test_little_is_imported_where_ctrl_c_cannot_be_caught():
    """
    Before main runs: nothing that takes long.
    """
    code = (
        "import sys; before = {*sys.modules}; import prefork.cli; print(*{*sys.modules} - before)"
    )

    output = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(Path(prefork_package.__file__).parents[1])},
        capture_output=True, text=True, check=True, timeout=30,
    ).stdout  # fmt: skip

    ours = {name for name in output.split() if name.startswith("prefork")}
    streams = {"prefork.platform", "prefork.platform.standard_streams"}
    assert ours == {"prefork", "prefork.cli", "prefork.errors", *streams}
    assert not {"argparse", "importlib.metadata", "difflib", "msgspec"} & {*output.split()}


#: Imported by the interpreter before all else: sends SIGINT as soon as a module is looked for.
INTERRUPTS = """\
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_standard_streams_are_filled(prefork, elsewhere, closed):
    """
    So that no opened file gets their numbers; the remaining streams work.
    """
    (elsewhere / "probe.py").write_text(
        "import os, sys\n"
        "kinds = [os.path.realpath(f'/proc/self/fd/{fd}') for fd in range(3)]\n"
        "kept = [os.get_inheritable(fd) for fd in range(3)]\n"
        "print('output'), print('error', file=sys.stderr)\n"
        "open('seen', 'w').write(repr((kinds, kept)))\n"
        "def handle(connection, address): pass\n"
    )
    script = f"{sys.executable} -m prefork check probe {closed}"

    done = subprocess.run(
        ["sh", "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30
    )

    kinds, kept = eval((elsewhere / "seen").read_text())
    assert done.returncode == 0, done.stderr
    assert [True, True, True] == kept
    assert ["/dev/null"] * len(closed.split()) == [
        kinds[int(redirection[0])] for redirection in closed.split()
    ]


@pytest.mark.parametrize(
    ("argv", "code", "word"),
    [
        (["serve", "app"], 2, "the current directory does not exist any more"),
        (["check", "app", "--chdir", "{place}"], 0, ""),
        (["status", "--name", "nobody-has-this-name"], 6, "no server called"),
        (["--version"], 0, ""),
        (["serve", "--help"], 0, ""),
    ],
)
def test_a_removed_current_directory_is_reported_or_does_not_matter(
    prefork, elsewhere, argv, code, word
):
    """
    Never a traceback.
    """
    command = " ".join(text.format(place=elsewhere) for text in argv)
    script = f"mkdir gone && cd gone && rmdir ../gone && exec {sys.executable} -m prefork {command}"

    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=30)

    assert (code, word in done.stderr) == (done.returncode, True)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("argv", [[b"caf\xe9.py"], [b"app", b"--config", b"\xe9.toml"]])
def test_a_text_that_is_not_utf8_is_exit_2(prefork, elsewhere, argv):
    """
    Such a file may exist, but its name could be neither sent nor shown.
    """
    for name in (b"caf\xe9.py", b"\xe9.toml"):
        (elsewhere / os.fsdecode(name)).touch()

    code, _, [line] = prefork("check", *argv)

    assert code == 2
    assert "is not valid UTF-8" in line
