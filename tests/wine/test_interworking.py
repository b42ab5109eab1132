"""Programs of the original kind under prefork, and workers of ours under a parent of that kind."""

import os
import signal
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from rig.clients import ask, connect
from rig.server import elapsed
from rig.waiting import pause, until
from wine import HERE, windows_path
from wine.host import WineHost

pytestmark = pytest.mark.slow


@pytest.fixture
def serve_programs(warm_wine, tmp_path, runtime):
    """
    Starts ``prefork exec`` in Windows: ``serve_programs("--workers", "5", "--", …)``.
    """
    host, servers = WineHost(warm_wine), []

    def start(*arguments, **options):
        given = {"directory": tmp_path, "runtime": runtime, **options}
        servers.append(host.server(["exec", *arguments], **given))
        return servers[-1]

    yield start
    for server in servers:
        server.end()


@pytest.fixture
def run(serve_programs, tmp_path, warm_wine):
    """
    Starts ``prefork exec`` of a Python program: ``run("-w", "2", source=…, words=["{fd}"])``.
    """

    def run_program(*options, source, words=()):
        path = tmp_path / "program.py"
        path.write_text(source)
        python = windows_path(warm_wine.python)
        return serve_programs(*options, "--", python, windows_path(path), *words)

    return run_program


def compile_there(compiler, source, program, *options):
    words = [f"x86_64-w64-mingw32-{compiler}", "-O2", "-static", str(HERE / source)]
    subprocess.run([*words, *options, "-o", str(program)], check=True)


@pytest.fixture(scope="session")
def ssparent(tmp_path_factory):
    """
    The original parent, compiled.
    """
    program = tmp_path_factory.mktemp("parent") / "SSParent.exe"
    compile_there("g++", "ssparent.cpp", program, "-lws2_32")
    return program


@pytest.fixture
def house(tmp_path, ssparent, warm_wine):
    """
    A directory with the original parent, and what a Python needs that is started beside it.
    """
    place = tmp_path / "house"
    place.mkdir()
    for each in [ssparent, *warm_wine.python.parent.iterdir()]:
        (place / each.name).symlink_to(each)
    return place


@pytest.fixture
def parent(wine, house):
    """
    Starts the original parent with so many children; returns it and its address.
    """

    def start(children, *programs):
        program = wine.run(house / "SSParent.exe", 0, children, *programs)
        program.wait_for("started", count=children)
        return program, f"tcp://127.0.0.1:{program.wait_for('listening')['port']}"

    return start


def lines(server, **fields):
    return [event["line"] for event in server.all("output", **fields)]


def sentences(server):
    """
    Return what it has said before there was a log.
    """
    server.log.refresh()
    return server.log.others


def answers(address, count, at_once=1):
    """
    Ask so often; return what was answered, and how often.
    """
    with ThreadPoolExecutor(at_once) as clients:
        return Counter(clients.map(lambda _: ask(address, b"hello"), range(count)))


# Programs of somebody else's under prefork


@pytest.mark.essential
def test_a_program_of_the_original_kind_is_supervised(serve_programs, sschild):
    """
    SSChild.exe, unchanged: five share the socket, one that is killed is replaced, there are more
    or fewer as wanted, and nothing is left.
    """
    options = ["--accept-mutex-name", "sschild", "--workers", "5", "--graceful-timeout", "1"]
    server = serve_programs(*options, "--", windows_path(sschild), "{fd}").ready(5)
    assert server.is_alive(server.pid)
    assert {b"hello\0": 200} == answers(server.address, 200)

    pid = server.workers()[2]
    server.kill(pid)
    died = server.wait_for("worker exited", slot=2)
    assert (pid, "crashed") == (died["pid"], died["cause"])
    server.ready(5)
    assert pid not in server.pids()
    assert {b"hello\0": 200} == answers(server.address, 200, at_once=4)

    assert 0 == server.operate("scale", "7").returncode
    server.ready(7)
    assert 0 == server.operate("scale", "3").returncode
    server.ready(3)
    assert {b"hello\0": 200} == answers(server.address, 200)

    assert 0 == server.stop()
    server.all_gone()


def test_clients_do_not_notice_the_death_of_the_one_whose_turn_it_is(serve_programs, sschild):
    """
    Each is killed in its turn, whichever holds the mutex: only its own client, if any, is lost.
    """
    options = ["--accept-mutex-name", "sschild", "--workers", "5"]
    server = serve_programs(*options, "--", windows_path(sschild), "{fd}").ready(5)
    for slot, pid in server.workers().items():
        server.kill(pid)
        took = elapsed(lambda: ask(server.address, b"hello"))
        print(f"answered {took * 1000:.1f} ms after the kill of slot {slot}")
        assert took < 0.5
    server.ready(5)


@pytest.mark.essential
def test_nothing_outlives_an_arbiter_of_programs(serve_programs, sschild):
    """
    They know nothing of it, and end with it all the same.
    """
    options = ["--accept-mutex-name", "sschild", "--workers", "5"]
    server = serve_programs(*options, "--", windows_path(sschild), "{fd}").ready(5)

    server.kill_arbiter()

    server.all_gone(limit=1.0)


def test_a_program_that_cannot_be_asked_is_ended_in_time(run):
    """
    It is said once, and why.
    """
    source = "import threading; threading.Event().wait()"
    server = run("-w", "3", "--graceful-timeout", "1", source=source).ready(3)

    assert 0 == server.stop()
    assert ["killed"] * 3 == [
        "killed" if event["status"] == "SIGKILL" else event["status"]
        for event in server.all("worker exited")
    ]
    assert 1 == len(server.all("program not asked to end"))


def test_tokens_and_environment(run):
    """
    {fd:N} is the handle of the N-th address; what stands for descriptors elsewhere is not there.
    """
    source = """
import os, socket, sys, threading, _socket
print(sys.argv[3:])
for handle in sys.argv[1:3]:
    print(socket.socket(fileno=_socket.dup(int(handle))).getsockname()[1])
print(os.environ["COLOUR"], [name for name in os.environ if name.startswith(("LISTEN", "NOTIFY"))])
print(sys.stdin.read() == "", flush=True)
threading.Event().wait()
"""
    two = ["--bind", "tcp://127.0.0.1:0", "--bind", "tcp://127.0.0.1:0", "--env", "colour=red"]
    words = ["{fd}", "{fd:1}", "p={port},s={slot}", "{x}", 'a "quoted" word\\']
    server = run(*two, "-w", "2", source=source, words=words).ready(2)

    first, second = (address.rpartition(":")[2] for address in server.addresses)
    until(lambda: 5 == len(lines(server, slot=1)), what="all lines")
    given, *rest = lines(server, slot=1)
    assert repr([f"p={first},s=1", "{x}", 'a "quoted" word\\']) == given
    assert [first, second, "red []", "True"] == rest


def test_what_programs_print_is_in_the_log(run):
    """
    Line by line, long ones in parts, with slot, pid and stream; also what comes just before the
    end, and what is not text.
    """
    source = """
import os, sys
os.write(1, b"one\\r\\ntwo\\nx" + b"y" * 100_000 + b"\\n\\xff\\n")
os.write(2, b"an error\\n")
os.write(1, b"last words")
os._exit(3)
"""
    server = run("-w", "1", "--restart-intensity", "1", source=source)

    assert 3 == server.wait()
    died = server.all("worker exited")[0]
    printed = lines(server, stream="stdout", pid=died["pid"])
    assert ["one", "two", "\ufffd", "last words"] == [*printed[:2], *printed[-2:]]
    assert "x" + "y" * 100_000 == "".join(printed[2:-2])
    assert ["an error"] == lines(server, stream="stderr", pid=died["pid"])
    assert "exit 3" == died["status"]


def test_a_flood_of_output_does_not_starve_the_supervision(run):
    """
    Two programs that print without end, and a third is replaced at once.
    """
    source = """
import sys, threading
while int(sys.argv[1]) < 2:
    print("x" * 70)
print("up", flush=True)
threading.Event().wait()
"""
    server = run("-w", "3", "--graceful-timeout", "1", source=source, words=["{slot}"]).ready(3)

    pid = server.workers()[2]
    server.kill(pid)
    server.wait_for("worker exited", limit=5, pid=pid)
    assert 0 == server.operate("status").returncode
    until(lambda: 2 == len(lines(server, slot=2)), what="the successor")
    assert 0 == server.stop()


def test_what_a_program_leaves_behind_goes_with_it(run):
    """
    Also when it holds on to the output.
    """
    source = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
"""
    server = run("-w", "1", "--restart-delay", "30", source=source)

    server.wait_for("worker exited")
    [child] = lines(server)
    until(lambda: not server.is_alive(int(child)), limit=2, what="the end of what was left")


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("nothing.exe", "nothing.exe cannot be run: it is neither in"),
        (r".\nothing", "nothing cannot be run: there is no file"),
        ("batch", "it is a batch file, which the system leaves to cmd.exe; say so"),
        ("batch.bat", "it is a batch file"),
        (".", "it is a directory"),
    ],
)
def test_a_program_that_cannot_be_found_is_a_sentence(serve_programs, tmp_path, program, sentence):
    """
    Exit code 4, before anything is bound.
    """
    (tmp_path / "batch.bat").touch()
    server = serve_programs("--", program)

    assert 4 == server.wait()
    [said] = sentences(server)
    assert sentence in said


def test_a_file_that_is_no_program_is_a_sentence_of_the_log(serve_programs, tmp_path):
    """
    Only Windows can tell; exit code 4 as well.
    """
    (tmp_path / "text.exe").write_text("no program")
    server = serve_programs("-w", "2", "--", "text")

    assert 4 == server.wait()
    [event] = server.all("target cannot be loaded")
    assert "text cannot be run: it is no program of Windows" in event["reason"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--ready-after", "0"], "on Windows a program cannot send READY=1"),
        (["--stop-signal", "INT"], "Windows has no signals"),
    ],
)
def test_options_that_windows_lacks_are_refused(serve_programs, options, sentence):
    """
    By a sentence.
    """
    server = serve_programs(*options, "--", "cmd.exe")

    assert 2 == server.wait()
    assert sentence in sentences(server)[0]


# Workers of ours under a parent of somebody else's


@pytest.fixture
def guest(house):
    """
    SSChild.exe, made of our own worker.
    """
    compile_there("gcc", "guest.c", house / "SSChild.exe", "-municode")


def test_the_original_pair_works(parent, house, sschild):
    """
    So that what follows says something.
    """
    (house / "SSChild.exe").symlink_to(sschild)
    _, address = parent(5)

    assert {b"hello\0": 200} == answers(address, 200)


@pytest.mark.essential
def test_a_worker_of_ours_runs_under_the_original_parent(guest, parent):
    """
    It starts ``SSChild <handle>`` five times: all serve, evenly, and outlive one another.
    """
    program, address = parent(5)
    assert b"hello" == ask(address, b"hello")
    until(lambda: 5 == len(serving(program, address)), limit=20, what="all five")
    before = len(program.output)

    assert {b"hello": 200} == answers(address, 200)
    pause(0.2)
    shares = Counter(connected(program)[len(connected(program)) - 200 :])
    assert before < len(program.output)
    assert (30, 50) == (min(30, *shares.values()), max(50, *shares.values()))

    *doomed, asked, _ = program.family("SSChild")
    for process in doomed:
        os.kill(process, signal.SIGKILL)
        took = elapsed(lambda: ask(address, b"hello"))
        print(f"answered {took * 1000:.1f} ms after the kill")
        assert took < 0.5
    os.kill(asked, signal.SIGINT)  # which Wine makes Ctrl-C of
    program.wait_for("exited", code=0)
    assert {b"hello": 200} == answers(address, 200, at_once=4)


@pytest.mark.essential
def test_workers_of_ours_and_originals_share_a_socket(guest, parent, house, sschild):
    """
    As when a program is exchanged while its parent runs: the original waits in accept itself, and
    ours leave the socket as that needs it.
    """
    (house / "Original.exe").symlink_to(sschild)
    program, address = parent(2, "SSChild", "Original")
    until(lambda: 1 == len(serving(program, address)), limit=20, what="the guest")

    found = answers(address, 200)

    assert {b"hello", b"hello\0"} == set(found)
    assert min(found.values()) >= 10  # the original is quicker, so it gets more
    assert not program.all("exited")


def test_a_worker_under_a_foreign_parent_ends_with_it(guest, parent):
    """
    However that ends, after what it is at.
    """
    program, address = parent(3)
    until(lambda: 3 == len(serving(program, address)), limit=20, what="all three")
    assert 4 == len(program.family())
    with connect(address) as client:
        client.sendall(b"x")
        assert b"x" == client.recv(1)
        os.kill(program.pid, signal.SIGKILL)
        until(lambda: 1 == len(program.family()), limit=2, what="the end of the idle")
    until(lambda: not program.family(), limit=2, what="the end of all")


def test_a_foreign_parent_that_is_missing_is_a_sentence(wine):
    """
    A sentence, and exit code 2.
    """
    options = ["--accept-mutex-name", "nobody-has-this", "--target", "prefork.echo"]
    without = wine.start("-m", "prefork.worker.guest", *options, 48)
    nothing = wine.start("-m", "prefork.worker.guest", 48)

    assert (2, 2) == (without.wait(), nothing.wait())
    assert any("there is no mutex nobody-has-this" in line for line in without.output)
    assert 2 == sum("a guest needs --" in line for line in nothing.output)


def connected(program):
    """
    Return who has told of a client, in order.
    """
    told = [line.split() for line in program.output if " info connected pid=" in line]
    return [next(word for word in words if word.startswith("pid=")) for words in told]


def serving(program, address):
    """
    Ask once more; return all who have answered so far.
    """
    ask(address, b"hello")
    return set(connected(program))
