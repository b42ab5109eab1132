"""Programs as workers: what they get, what is heard of them, how they end."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from rig.clients import Load, connect, read_line
from rig.processes import cpu_seconds, status_field
from rig.programs import compiled, descendants
from rig.server import elapsed
from rig.waiting import pause, stays, until

pytestmark = pytest.mark.slow

#: What programs of these tests begin with.
PRELUDE = """
import os, signal, socket, sys, threading

def notify(text, fds=()):
    address = os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(address)
        socket.send_fds(sender, [text.encode()], fds)

def wait(seconds=None):
    threading.Event().wait(seconds)
"""


@pytest.fixture
def run(start, write):
    """
    Starts ``prefork exec`` of a Python program: ``run("-w", "2", source=…, words=["{fd}"])``.
    """

    def run_program(*options, source, words=(), **others):
        path = write(PRELUDE + source, "program.py")
        return start("exec", *options, "--", sys.executable, str(path), *words, **others)

    return run_program


def lines(server, **fields):
    """
    Return what the programs have printed.
    """
    return [event["line"] for event in server.all("output", **fields)]


def printed(server, count):
    """
    Return the first ``count`` lines that the programs print, waiting for them.
    """
    until(lambda: len(lines(server)) >= count, what=f"{count} lines")
    return lines(server)


def worker(server, slot=0):
    return next(each for each in server.status()["workers"] if each["slot"] == slot)


# What a program gets


@pytest.mark.versions
def test_a_program_gets_its_sockets_and_tokens(run):
    """
    {fd:N} is the N-th address, {port} the first port; LISTEN_FDS passes all; other braces stay.
    """
    source = """
    print(sys.argv[1:])
    names = ("LISTEN_FDS", "LISTEN_FDNAMES")
    print([os.environ[name] for name in names], os.environ["LISTEN_PID"] == str(os.getpid()))
    for fd in (3, 4, int(sys.argv[1]), int(sys.argv[3])):
        print(socket.socket(fileno=os.dup(fd)).getsockname()[1])
    wait()
    """
    source = "\n".join(line.removeprefix("    ") for line in source.splitlines())
    words = ["{fd}", "{fd:0}", "{fd:1}", "p={port},s={slot}", "{x}", "{ fd }", "{fd:}", '{"fd":1}']
    two = ["--bind", "tcp://127.0.0.1:0", "--bind", "tcp://[::1]:0"]
    server = run(*two, "-w", "2", source=source, words=words).ready(2)

    first, second = (address.rpartition(":")[2] for address in server.addresses)
    until(lambda: 6 == len(lines(server, slot=1)), what="all lines")
    given, names, *ports = lines(server, slot=1)
    fd, again, other, *rest = json.loads(given.replace("'", '"').replace('"{"fd":1}"', "1"))
    assert fd == again != other
    assert [f"p={first},s=1", "{x}", "{ fd }", "{fd:}", 1] == rest
    assert "['2', 'listener-0:listener-1'] True" == names
    assert [first, second, first, second] == ports


@pytest.mark.versions
def test_a_program_starts_as_from_a_shell(run):
    """
    Nothing is open but its streams and sockets, no signal is ignored or blocked, input is empty.
    """
    source = """
print(sorted(map(int, os.listdir("/proc/self/fd")))[:-1], sys.stdin.read() == "")
status = [line.split() for line in open("/proc/self/status")]
print(*(int(line[1], 16) & 0x7FFFFFFF for line in status if line[0] in ("SigBlk:", "SigIgn:")))
wait()
"""
    server = run("-w", "1", source=source).ready()

    descriptors, signals = printed(server, 2)
    assert "[0, 1, 2, 3] True" == descriptors
    by_python_itself = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
    assert f"0 {by_python_itself}" == signals


def test_settings_of_the_process_apply(run, tmp_path):
    """
    Directory, environment, umask and niceness are as asked for.
    """
    source = """
print(os.getcwd(), os.environ["COLOUR"], oct(os.umask(0)), os.nice(0))
wait()
"""
    (tmp_path / "below").mkdir()
    options = ["--chdir", "below", "--env", "COLOUR=red", "--umask", "027", "--nice", "3"]
    server = run("-w", "1", *options, source=source).ready()

    assert [f"{tmp_path / 'below'} red 0o27 3"] == printed(server, 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_program_of_another_user_can_notify(start):
    """
    --user nobody: it runs as nobody, and its READY=1 is believed.
    """
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)  # nobody has to get there
        options = ["-w", "1", "--ready-after", "0", "--user", "nobody"]
        server = start("exec", *options, "--", compiled(Path(directory)), "{fd}").ready()

        assert "waiting for the first client" == worker(server)["says"]
        assert ["65534"] * 4 == status_field(server.workers()[0], "Uid").split()
        with server.connect() as client:
            assert read_line(client).isdigit()
        assert 0 == server.stop()


# Its start


def test_a_silent_program_is_ready_after_a_while(run):
    """
    --ready-after counts from the moment at which the program runs.
    """
    server = run("-w", "1", "--ready-after", "0.3", source="wait()")

    event = server.wait_for("worker ready")
    assert 0.3 <= event["after"] < 3


def test_a_program_that_has_notified_is_ready_at_its_ready(run):
    """
    STATUS=… shows that it speaks: then only READY=1 counts, however long that takes.
    """
    source = """
notify("STATUS=loading")
wait(1.7)
print("now")
notify("READY=1\\nREADY=1")
notify("READY=1")
wait()
"""
    server = run("-w", "1", "--ready-after", "1.5", source=source).ready()

    assert ["now"] == printed(server, 1)
    [event] = server.all("worker ready")
    assert event["after"] >= 1.7
    assert "loading" == worker(server)["says"]


def test_a_program_that_is_not_ready_in_time_is_hung(run):
    """
    --ready-after 0 waits for READY=1, for up to boot-timeout; EXTEND_TIMEOUT_USEC makes it longer.
    """
    source = """
notify("EXTEND_TIMEOUT_USEC=3000000")
wait()
"""
    options = ["--ready-after", "0", "--boot-timeout", "2", "--restart-intensity", "1"]
    server = run("-w", "1", *options, source=source)

    assert 3 == server.wait()
    [exited] = server.all("worker exited")
    assert ("hung", "SIGABRT") == (exited["cause"], exited["status"])
    assert 3 <= exited["after"] < 8
    assert "starting" == server.all("worker hung")[0]["state"]


def test_a_program_that_keeps_failing_is_given_up(run):
    """
    A crash loop waits longer each time, and ends with exit code 3; its words are in the log.
    """
    source = "sys.exit('no database')"
    limits = ["--restart-intensity", "3", "--restart-delay", "0.05"]
    server = run("-w", "2", *limits, source=source)

    assert 3 == server.wait()
    exits = server.all("worker exited")
    assert {("exit 1", "failed to start")} == {(e["status"], e["cause"]) for e in exits}
    assert "no database" in lines(server, stream="stderr")


def test_a_program_that_cannot_be_executed_is_logged_once(start, write):
    """
    A script whose interpreter does not exist: exit code 4, nobody tries again.
    """
    script = write("#!/nowhere/at/all\n", "script")
    script.chmod(0o755)
    server = start("exec", "-w", "3", "--", "./script")

    assert 4 == server.wait()
    [event] = server.all("target cannot be loaded")
    assert event["reason"].startswith("./script cannot be run: its interpreter, ")


def test_a_program_that_exits_with_0_is_replaced_at_once(run):
    """
    A program that serves for a while and ends is no failure, however often it does so.
    """
    source = """
notify("READY=1")
wait(0.1)
"""
    server = run("-w", "1", source=source)

    server.wait_for("worker exited", count=6)
    assert [] == server.all("pool decided")
    assert {("exit 0", "crashed")} == {
        (event["status"], event["cause"]) for event in server.all("worker exited")
    }


def test_a_program_that_fails_soon_after_it_was_ready_is_started_later(run):
    """
    An exit code that is not 0 counts as a failed start.
    """
    source = """
notify("READY=1")
wait(0.1)
sys.exit(7)
"""
    server = run("-w", "1", "--restart-intensity", "3", "--restart-delay", "0.05", source=source)

    assert 3 == server.wait()


# What is heard of it


def test_the_pool_follows_busy(start, tmp_path):
    """
    The C program says BUSY=1 for each client: 1..4 grows with the clients, and shrinks after them.
    """
    options = ["-w", "1..4", "--spare", "0", "--scale-down-delay", "0.3", "--timeout", "5"]
    server = start("exec", *options, "--", compiled(tmp_path), "{fd}").ready(1)

    with server.held() as held:
        held.add(1)
        server.until_pool(busy=1, ready=1)
        held.add(3)
        assert 4 == len(set(held.pids))
        server.until_pool(busy=4, target=4)
        assert all(0 < each["busy_for"] for each in server.status()["workers"])
    server.until_pool(ready=1, busy=0, draining=0)
    totals = server.status()["totals"]
    assert (4, 4) == (totals["accepted"], totals["handled"])


def test_held_clients_are_served_to_their_end_when_it_stops(start, tmp_path):
    """
    The stop signal asks; the program finishes its client, then ends.
    """
    server = start("exec", "-w", "1", "--", compiled(tmp_path), "{fd}").ready()
    with server.connect() as client:
        read_line(client)
        server.signal(signal.SIGTERM)
        server.wait_for("worker draining")
        client.sendall(b"still there?\n")
        assert b"still there?" == read_line(client)

    assert 0 == server.wait()
    [exited] = server.all("worker exited")
    assert ("exit 0", "stopped") == (exited["status"], exited["cause"])


def test_silence_is_a_hang_from_the_first_sign_of_life_on(run):
    """
    WATCHDOG=1 once, then nothing for --timeout: recorded, SIGABRT, and what it prints is logged.
    """
    source = """
def say(*_):
    print("stack of mine", flush=True)
    os._exit(3)
signal.signal(signal.SIGABRT, say)
notify("READY=1")
if sys.argv[1] == "0":
    notify("WATCHDOG=1\\nBUSY=2\\nSTATUS=counting")
wait()
"""
    server = run("-w", "2", "--timeout", "0.6", source=source, words=["{slot}"]).ready(2)

    exited = server.wait_for("worker exited")
    assert (0, "hung", "exit 3") == (exited["slot"], exited["cause"], exited["status"])
    assert ["stack of mine"] == lines(server)
    hung = server.all("worker hung")[0]
    assert (2, "counting") == (hung["active"], hung["says"])
    incident = json.loads(Path(hung["incident"]).read_text())
    [thread] = incident["threads"]
    assert {"tid", "comm", "state", "wchan", "syscall"} <= thread.keys()
    server.ready(2)
    assert [] == server.all("worker exited", slot=1)
    assert ["hang"] == [d["kind"] for d in server.result("why")["decisions"]][:1]


def test_a_hung_program_that_ignores_abort_is_killed(run):
    """
    SIGKILL follows; the cause stays.
    """
    source = """
signal.signal(signal.SIGABRT, signal.SIG_IGN)
notify("READY=1\\nWATCHDOG=trigger")
wait()
"""
    server = run("-w", "1", source=source)

    exited = server.wait_for("worker exited")
    assert ("hung", "SIGKILL") == (exited["cause"], exited["status"])
    assert exited["after"] < 5


def test_a_program_has_a_period_of_its_own(run):
    """
    WATCHDOG_USEC shortens or lengthens what counts as silence; 0 ends the watch.
    """
    source = """
period = {"0": "300000", "1": "60000000", "2": "0"}[sys.argv[1]]
notify("READY=1\\nWATCHDOG=1\\nWATCHDOG_USEC=" + period)
wait()
"""
    server = run("-w", "3", "--timeout", "2.5", source=source, words=["{slot}"]).ready(3)

    exited = server.wait_for("worker exited", slot=0, cause="hung")
    started = server.wait_for("worker ready", slot=0)
    assert exited["after"] - started["after"] < 2.5
    assert stays(lambda: not server.all("worker hung", slot=lambda slot: slot != 0), 2.7)


def test_a_program_that_shows_life_is_not_hung(run):
    """
    Signs of life in time, and a suspension that ends in time, are no hang.
    """
    source = """
notify("READY=1")
while True:
    notify("WATCHDOG=1")
    wait(float(os.environ["WATCHDOG_USEC"]) / 4e6)
"""
    server = run("-w", "1", "--timeout", "1", source=source).ready()
    [pid] = server.pids()

    server.freeze(pid)
    server.wait_for("worker suspended")
    server.thaw(pid)

    assert stays(lambda: server.pids() == {pid}, 2)
    assert [] == server.all("worker hung")


def test_a_program_that_announces_its_stop_is_replaced_before_it_ends(run):
    """
    STOPPING=1: it counts no more, its successor starts, and its exit is no crash.
    """
    source = """
notify("READY=1")
wait(0.2)
if sys.argv[1] == "0":
    notify("STOPPING=1")
    wait(1)
else:
    wait()
"""
    server = run("-w", "1", source=source, words=["{slot}"])

    server.wait_for("worker leaving", slot=0)
    server.wait_for("worker ready", slot=1)
    exited = server.wait_for("worker exited", slot=0)
    assert ("exit 0", "stopped") == (exited["status"], exited["cause"])
    server.ready(1)


def test_notifications_without_meaning_are_logged_once(run):
    """
    What is not understood is ignored; words of systemd that mean nothing here are not told.
    """
    source = """
notify("MAINPID=1\\nFDSTORE=1\\nERRNO=2\\n\\nSTATUS=fine \\x1b[31m")
for text in ("BUSY=many", "BUSY=-1", "BUSY=" + "9" * 4000, "\\xff=\\0", "x" * 9000, ""):
    notify(text)
reader, writer = os.pipe()
notify("BARRIER=1", [writer] * 20)
os.close(writer)
print(os.read(reader, 1))
notify("READY=1")
wait()
"""
    server = run("-w", "1", "--ready-after", "0", source=source).ready()

    told = server.all("notification ignored")
    assert ["'BUSY=many' is not understood", "it is too long"] == [e["reason"] for e in told]
    assert "fine  [31m" == worker(server)["says"]
    assert ["b''"] == lines(server)  # the barrier's descriptors were closed
    assert len(list(Path(f"/proc/{server.pid}/fd").iterdir())) < 40


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_notifications_of_other_users_are_ignored(run):
    """
    A notification of another user is refused: the kernel tells who sent it.
    """
    source = """
print(os.environ["NOTIFY_SOCKET"])
child = os.fork()
if not child:
    os.setuid(65533)
    notify("READY=1\\nSTATUS=forged")
    os._exit(0)
os.waitpid(child, 0)
wait()
"""
    server = run("-w", "1", "--ready-after", "0", source=source)

    event = server.wait_for("notification ignored")
    assert "it came from the user 65533" == event["reason"]
    assert ("starting", None) == (worker(server)["state"], worker(server)["says"])


# What it prints


@pytest.mark.versions
def test_output_is_logged_line_by_line(run):
    """
    Long lines go on in the next, other bytes are replaced, last words come before the exit.
    """
    source = r"""
write = sys.stdout.buffer.write
write(b"first\r\n\n")
write("ä".encode() * 5000 + b"\n")
write(b"\xff\0\x1b[0m\n")
sys.stdout.flush()
print("trouble", file=sys.stderr)
notify("READY=1")
write(b"unfinished")
sys.stdout.flush()
sys.exit(9)
"""
    server = run("-w", "1", "--restart-intensity", "1", source=source)

    assert 3 == server.wait()
    first, empty, *long, other, last = lines(server, stream="stdout")
    assert ("first", "", "unfinished") == (first, empty, last)
    assert "ä" * 5000 == "".join(long)
    assert all(len(part.encode()) <= 3800 for part in long)
    assert "�\0\x1b[0m" == other
    assert ["trouble"] == lines(server, stream="stderr")
    events = [event["event"] for event in server.log.events]
    assert "output" not in events[events.index("worker exited") :]


def test_a_flood_of_output_and_notifications_delays_no_other_program(run):
    """
    While one program prints and notifies without end, others are watched and replaced as ever.
    """
    source = """
notify("READY=1")
if sys.argv[1] == "0":
    print("flooding", flush=True)
    if not os.fork():
        while True:
            notify("STATUS=again")
    block = b"\\n" * 60000 + b"x" * 5000
    while True:
        os.write(1, block)
notify("WATCHDOG=1")
wait()
"""
    server = run(
        "-w", "3", "--timeout", "1", "--log-level", "info", source=source, words=["{slot}"],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    server.ready(3)
    before = server.workers()

    def replaced():
        now = server.workers()
        return all(now.get(slot, before[slot]) != before[slot] for slot in (1, 2))

    until(replaced, 8, "the replacement of the silent ones")
    assert before[0] == server.workers()[0]
    assert elapsed(lambda: server.operate("status", "--control", _control(server))) < 5
    assert elapsed(server.stop) < 5


def _control(server):
    return f"unix:{server.runtime / 'prefork' / server.name}.control"


# Its end


def test_the_stop_signal_is_as_asked_for(run):
    """
    --stop-signal INT: that, and nothing else, is sent.
    """
    source = """
def note(signum, frame):
    print("got", signum, flush=True)
    sys.exit(0)
for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGURG, signal.SIGUSR2, signal.SIGHUP):
    signal.signal(signum, note)
notify("READY=1")
wait()
"""
    server = run("-w", "1", "--stop-signal", "int", source=source).ready()
    server.operate("dump")
    server.signal(signal.SIGUSR1)

    assert 0 == server.stop()
    assert [f"got {int(signal.SIGINT)}"] == lines(server)


def test_a_program_that_ignores_the_stop_signal_is_killed(run):
    """
    After graceful-timeout; not before the time that it asks for.
    """
    source = """
signal.signal(signal.SIGTERM, lambda *_: notify("EXTEND_TIMEOUT_USEC=2000000"))
notify("READY=1")
while True:
    wait()
"""
    server = run("-w", "1", "--graceful-timeout", "1", source=source).ready()

    assert 2 <= elapsed(server.stop) < 7
    [exited] = server.all("worker exited")
    assert ("SIGKILL", "stopped") == (exited["status"], exited["cause"])


def test_what_a_program_has_started_goes_with_it(start):
    """
    A shell's children end with the shell, also those that keep its output open.
    """
    script = "sleep 1000 & sleep 1000 & echo started; wait"
    server = start("exec", "-w", "2", "--ready-after", "0.2", "--", "sh", "-c", script).ready(2)
    until(lambda: 2 == len(lines(server)), what="both shells")
    before = descendants(server.pid)
    assert 6 == len(before)

    server.kill(server.workers()[0])
    server.wait_for("worker started", count=3)
    server.ready(2)
    until(lambda: 6 == len(descendants(server.pid)), what="three gone, three new")

    everybody = before | descendants(server.pid)
    assert 0 == server.stop()
    assert [] == [pid for pid in everybody if server.is_alive(pid)]


def test_an_escaped_child_holds_nothing_up(run):
    """
    One that left the process group and keeps the pipes: the server goes on, and leaks nothing.
    """
    source = """
if not os.fork():
    os.setsid()
    wait(20)
    os._exit(0)
notify("READY=1")
print("parent")
wait(0.2)
"""
    server = run("-w", "1", source=source)
    server.wait_for("worker ready", count=2)
    few = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))

    server.wait_for("worker ready", count=6)
    assert abs(len(list(Path(f"/proc/{server.pid}/fd").iterdir())) - few) <= 5
    escaped = descendants(server.pid)
    assert elapsed(server.stop) < 5
    for pid in escaped:
        if server.is_alive(pid):
            server.kill(pid)


@pytest.mark.versions
def test_programs_end_with_the_arbiter(start, tmp_path):
    """
    The arbiter is killed: the kernel sends the stop signal, and the port is free.
    """
    server = start("exec", "-w", "3", "--", compiled(tmp_path), "{fd}").ready(3)
    programs, address = server.pids(), server.address

    server.kill_arbiter()

    until(lambda: not any(map(server.is_alive, programs)), what="the end of the programs")
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    with socket.create_server((host, int(port))):
        pass


def test_the_accept_queue_is_emptied_before_the_end(start, tmp_path):
    """
    Who is connected when the server stops is served, though nobody has accepted it yet.
    """
    server = start("exec", "-w", "1", "--", compiled(tmp_path), "{fd}").ready()
    first, second = server.connect(), server.connect()
    with first, second:
        read_line(first)
        server.signal(signal.SIGTERM)
        server.wait_for("stopping")
        first.shutdown(socket.SHUT_WR)
        assert read_line(second).isdigit()

    assert 0 == server.wait()


def test_a_stop_under_load_loses_no_connection_of_a_program(start, tmp_path):
    """
    Every connection that was established is answered.
    """
    server = start("exec", "-w", "3", "--", compiled(tmp_path), "{fd}").ready(3)

    with Load(server.address, clients=6) as load:
        load.more(300)
        assert 0 == server.stop()

    assert [] == load.failures


def test_only_what_a_killed_program_held_is_lost(start, tmp_path):
    """
    kill -9 under load, five times: each failure is of a killed worker, and the pool is whole.
    """
    server = start("exec", "-w", "3", "--", compiled(tmp_path), "{fd}").ready(3)
    killed: set[int] = set()

    with Load(server.address, clients=6) as load:
        for count in range(1, 6):
            load.more(100)
            victim = max(server.pids() - killed)
            killed.add(victim)
            server.kill(victim)
            server.wait_for("worker exited", count=count, cause="crashed")
            server.ready(3)

    assert all(failure.pid in killed or failure.pid is None for failure in load.failures)
    assert len(load.failures) <= 5
    assert load.total > 500


#: Starts a program as systemd does, with the descriptor in its first argument as a socket.
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_sockets_of_a_service_manager_are_handed_on(run, tmp_path):
    """
    LISTEN_FDS and NOTIFY_SOCKET of prefork are not the program's: it gets its own.
    """
    source = """
print(os.environ["LISTEN_PID"] == str(os.getpid()), os.environ["LISTEN_FDS"])
print(os.environ["NOTIFY_SOCKET"])
print(socket.socket(fileno=3).getsockname()[1])
notify("READY=1")
wait()
"""
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "manager"))
    with socket.create_server(("127.0.0.1", 0)) as listener, manager:
        number = str(listener.fileno())
        server = run(
            *("-w", "1"),
            source=source,
            bind=None,
            prefix=[sys.executable, "-c", ACTIVATE, number],
            pass_fds=[listener.fileno()],
            env={"NOTIFY_SOCKET": str(tmp_path / "manager")},
        ).ready()

        passed, notify, port = printed(server, 3)
        assert ("True 1", str(listener.getsockname()[1])) == (passed, port)
        assert notify.startswith("@prefork-")
        assert manager.recv(1000).startswith(b"STATUS=starting")  # prefork's own


def test_unix_sockets_are_shared_too(start, tmp_path, runtime):
    """
    The C program on a Unix socket: served, and stopped without an error of accept.
    """
    address = f"unix:{runtime / 'echo.sock'}"
    command = ("--bind", address, "-w", "2", "--", compiled(tmp_path), "{fd}")
    server = start("exec", *command).ready(2)

    with connect(address) as client:
        assert int(read_line(client)) in server.pids()

    assert 0 == server.stop()
    assert [] == lines(server)


# Looking at it


def test_dump_does_not_disturb_programs(run):
    """
    dump shows what the kernel says of each thread, and the program, which has no stacks, lives.
    """
    source = """
import threading
threading.Thread(target=wait, daemon=True).start()
notify("READY=1")
wait()
"""
    server = run("-w", "1", source=source).ready()
    [pid] = server.pids()

    [shown] = server.result("dump")["workers"]
    text = server.operate("dump", "0").stdout

    assert 2 == len(shown["threads"])
    assert str(pid) == shown["threads"][0]["tid"]
    assert 2 == text.count("\nthread ")
    assert stays(lambda: server.pids() == {pid}, 0.3)


def test_the_status_shows_programs(run):
    """
    The target is the program, accepting is its own business, and the server has its name.
    """
    server = run("-w", "1", source='notify("READY=1\\nSTATUS=hello")\nwait()').ready()

    status = server.status()
    assert (sys.executable, "program") == (status["target"], status["accept"])
    assert "hello" in server.operate("status").stdout


@pytest.mark.parametrize(
    "words",
    [
        "READY=1\\nEXTEND_TIMEOUT_USEC=2592000000000",
        "EXTEND_TIMEOUT_USEC=18446744073709551615\\nREADY=1",
        "READY=1\\nWATCHDOG=1\\nWATCHDOG_USEC=18446744073709551615",
    ],
)
def test_a_huge_extension_of_the_time_limit_has_no_effect_on_others(run, words):
    """
    Weeks, and systemd's "infinity", are no more than the clock of the arbiter can count.
    """
    server = run("-w", "1", source=f'\nnotify("{words}")\nwait()\n')
    server.wait_for("worker ready")

    assert stays(lambda: server.process.poll() is None, 0.5)
    assert 0 == server.stop()


def test_the_watchdog_counts_from_the_moment_of_ready(run):
    """
    A start may be silent for longer than ``timeout``, though the first ping came before it.
    """
    source = """
notify("WATCHDOG=1")
wait(1.0)
notify("READY=1")
wait(0.3)
notify("WATCHDOG=1\\nSTATUS=well")
wait(0.3)
notify("WATCHDOG_USEC=0")
wait()
"""
    server = run("-w", "1", "--timeout", "0.6", source=source)
    server.wait_for("worker ready")

    assert stays(lambda: not server.all("worker hung"), 1.0)


def test_a_program_that_serves_before_it_is_ready_finishes_at_a_stop(run):
    """
    Within ``ready-after`` it may hold a connection: it is asked to end, not killed.
    """
    source = """
import socket, sys, threading
ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
connection, _ = socket.socket(fileno=3).accept()
connection.recv(10)
connection.sendall(b"a")
ended.wait(10)
connection.sendall(b"b")
"""
    server = run("-w", "1", "--ready-after", "20", source=source).appear()

    with server.connect() as client:
        client.sendall(b"x")
        assert b"a" == client.recv(1)
        server.signal(signal.SIGTERM)
        assert b"b" == client.recv(1)

    assert 0 == server.wait()


def test_long_lines_full_of_escapes_are_logged_whole(run):
    """
    What becomes longer in JSON goes on in the next line, and nothing is cut out.
    """
    source = """
print('"' * 3700 + "end", flush=True)
notify("READY=1")
wait()
"""
    server = run("-w", "1", source=source)
    server.wait_for("worker ready")

    line = "".join(event["line"] for event in server.all("output"))

    assert '"' * 3700 + "end" == line


def test_output_waits_for_the_reader_of_the_log(start, write, tmp_path):
    """
    While nobody reads the log, a chatty program blocks; what happens to the pool is not lost.
    """
    source = """
notify("READY=1")
if sys.argv[1] == "0":
    while True:
        os.write(1, b"\\n" * 4096)
wait()
"""
    path = write(PRELUDE + source, "program.py")
    reader, writer = os.pipe()
    words = (sys.executable, str(path), "{slot}")
    server = start("exec", "-w", "2", "--", *words, stderr=writer).appear()
    os.close(writer)
    server.until_pool(ready=2)
    # Only a full pipe, and then the lines that the log may keep, stop the flood.
    until(lambda: _is_calm(server.pid), what="an arbiter that rests")
    victim = worker(server, 1)["pid"]
    server.kill(victim)
    until(lambda: server.workers().get(1, victim) != victim, what="the replacement")
    until(lambda: _is_calm(server.pid), what="an arbiter that rests again")
    server.signal(signal.SIGTERM)

    with os.fdopen(reader, errors="replace") as log:
        text = log.read()

    assert 0 == server.process.wait(10)
    assert f'"pid": {victim}, "status": "SIGKILL"' in text


def _is_calm(pid):
    before = cpu_seconds(pid)
    pause(0.5)
    return cpu_seconds(pid) - before < 0.1


@pytest.mark.parametrize("options", [["--ready-after", "3", "--boot-timeout", "2"], []])
def test_limits_under_which_no_program_becomes_ready_are_refused(start, options):
    """
    A program that says nothing must count as ready before it counts as hung.
    """
    options = options or ["--boot-timeout", "0.5"]

    done = start("exec", *options, "--", "sleep", "100", stderr=subprocess.PIPE)

    assert 2 == done.wait()
    assert "ready-after is" in done.process.stderr.read().decode()
