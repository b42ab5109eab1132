"""The operators' commands, from outside: each with and without ``--json``."""

import json
import os
import signal
import socket

import pytest

from rig.clients import read_line
from rig.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.windows]


@pytest.mark.essential
def test_status_is_the_object_of_the_contract(serve, host):
    """
    Every key of the contract is there, with the right numbers.
    """
    server = serve("-w", "1..3", "--spare", "0").ready(1)
    with server.connect() as client:
        pid = int(read_line(client))
        status = server.result("status")
        peer = "{}:{}".format(*client.getsockname())

    assert 1 == status["version"]
    assert (server.name, server.pid) == (status["name"], status["pid"])
    assert ("running", 1) == (status["state"], status["generation"])
    assert 0 < status["uptime"] < 60
    [listener] = status["listeners"]
    queued = 0 if host.tells_queues else None
    expected = {"address": server.address, "queued": queued, "backlog": 2048}
    assert expected.items() <= listener.items()
    expected = {"minimum": 1, "maximum": 3, "target": 1, "ready": 1, "busy": 1, "idle": 0}
    assert expected.items() <= status["pool"].items()
    assert {"starting", "draining"} <= status["pool"].keys()
    totals = {"accepted", "handled", "failed", "spawned", "exited", "crashed", "hung"}
    totals |= {"recycled", "reloads"}
    assert totals <= status["totals"].keys()
    assert (1, 0) == (status["totals"]["accepted"], status["totals"]["handled"])
    [worker] = status["workers"]
    known = {"slot": 0, "pid": pid, "generation": 1, "state": "ready", "busy": True, "active": 1}
    assert known.items() <= worker.items()
    assert {"accepted": 1, "handled": 0, "failed": 0, "peer": peer}.items() <= worker.items()
    assert 0 < worker["busy_for"] <= worker["age"]


def test_status_for_people(serve):
    """
    Without ``--json`` the same, to be read.
    """
    server = serve("-w", "2").ready(2)

    shown = server.operate("status")

    assert 0 == shown.returncode
    assert "" == shown.stderr
    for word in (server.name, str(server.pid), "running", server.address, "ready"):
        assert word in shown.stdout
    for pid in server.pids():
        assert str(pid) in shown.stdout


def test_status_can_be_watched(serve):
    """
    ``--watch --json`` prints a line a second until it is interrupted.
    """
    server = serve("-w", "1").ready(1)
    with server.begin("status", "--watch", "--json") as watch:
        try:
            lines = [json.loads(watch.stdout.readline()) for _ in range(2)]
            watch.send_signal(signal.SIGINT)
            assert watch.wait(5) in (0, 130)
            assert b"" == watch.stderr.read()
        finally:
            watch.kill()

    assert [server.pid] * 2 == [line["pid"] for line in lines]
    assert lines[0]["uptime"] < lines[1]["uptime"]


def test_status_works_while_the_arbiter_is_stopped(serve):
    """
    SIGSTOP: the numbers come from the scoreboard, and are as fresh as the workers make them.
    """
    server = serve("-w", "2").ready(2)
    server.freeze(server.pid)
    server.ask()
    server.ask()

    status = server.result("status")

    assert 2 == status["totals"]["accepted"]
    assert 2 == status["pool"]["ready"]
    server.thaw(server.pid)


def test_a_command_without_an_answer_exits_with_6(serve):
    """
    Exit 6 and a sentence when the arbiter is there but does not answer.
    """
    server = serve("-w", "1").ready(1)
    server.freeze(server.pid)

    asked = server.operate("scale", "2")

    assert 6 == asked.returncode
    assert "did not answer" in asked.stderr
    server.thaw(server.pid)


@pytest.mark.windows_only  # elsewhere tests/cli has it
@pytest.mark.parametrize(
    "command",
    [["status"], ["scale", "2"], ["stop"], ["dump"], ["why"]],
    ids=lambda command: command[0],
)
def test_without_such_a_server_commands_exit_with_6(host, runtime, command):
    """
    And say the name that they looked for.
    """
    done = host.operate(host.environment(runtime), *command, "--name", "nobody")

    assert 6 == done.returncode
    assert "prefork: no server called nobody runs" in done.stderr
    assert "" == done.stdout


@pytest.mark.parametrize(
    ("limits", "minimum", "maximum"), [("3", 3, 3), ("2..4", 2, 4), ("0..2", 0, 2)]
)
def test_scale_changes_the_limits(serve, limits, minimum, maximum):
    """
    N or MIN..MAX, at once in both directions.
    """
    server = serve("-w", "1").ready(1)

    result = server.result("scale", limits)

    assert (minimum, maximum) == (result["minimum"], result["maximum"])
    pool = server.status()["pool"]
    assert (minimum, maximum) == (pool["minimum"], pool["maximum"])
    until(lambda: server.status()["pool"]["ready"] >= max(minimum, 1))
    event = server.wait_for("limits changed")
    assert ("1..1", f"{minimum}..{maximum}") == (event["from"], event["to"])


def test_a_scale_before_the_first_worker_is_ready_stays(serve, tmp_path):
    """
    That an event loop wants fewer workers, by default, does not undo what an operator has set.
    """
    gate = tmp_path / "gate"
    source = f"""
        import pathlib
        import threading

        while not pathlib.Path({str(gate)!r}).exists():
            threading.Event().wait(0.02)


        async def handle(reader, writer):
            writer.close()
    """
    server = serve(source=source).appear()

    server.result("scale", "7..90")
    gate.touch()
    server.wait_for("target loaded")
    pool = server.ready(7).result("status")["pool"]

    assert (7, 90) == (pool["minimum"], pool["maximum"])


def test_scale_for_people(serve):
    """
    One line that says what is in force.
    """
    server = serve("-w", "1").ready(1)

    done = server.operate("scale", "3")

    assert (0, "workers: 3, 3 wanted now\n") == (done.returncode, done.stdout)
    server.ready(3)


def test_scale_refuses_what_makes_no_sense(serve):
    """
    Exit 2 and a sentence with the value; nothing changes.
    """
    server = serve("-w", "1").ready(1)

    done = server.operate("scale", "4..2")

    assert 2 == done.returncode
    assert "prefork: " in done.stderr
    assert 1 == server.status()["pool"]["maximum"]


def test_scaling_below_the_busy_ones_lets_them_finish(serve):
    """
    Who is over the new maximum is drained, not killed.
    """
    server = serve("-w", "4").ready(4)
    with server.held() as held:
        held.add(4)
        server.result("scale", "1")
        server.until_pool(ready=1, draining=3)
        for client in held.clients:
            client.sendall(b"still served")
            assert b"still served" == client.recv(100)

    server.ready(1)
    assert {("exit 0", "retired")} == {
        (event["status"], event["cause"]) for event in server.all("worker exited")
    }


def test_stop_returns_when_the_server_is_gone(serve):
    """
    After it nothing is left; what was in progress is finished first.
    """
    server = serve("-w", "2").ready(2)
    with server.connect() as client:
        read_line(client)
        with server.begin("stop", "--json") as stopping:
            server.wait_for("stopping", reason="prefork stop")
            assert stopping.poll() is None
            client.close()
            answer = json.load(stopping.stdout)
            assert 0 == stopping.wait(5)

    assert {"name": server.name, "state": "stopped"} == answer
    assert 0 == server.wait()


def test_stop_for_people(serve):
    """
    One line, and the server is gone.
    """
    server = serve("-w", "1").ready(1)

    done = server.operate("stop")

    assert (0, f"{server.name} has stopped\n") == (done.returncode, done.stdout)
    assert 0 == server.wait(2)


def test_stop_now_does_not_wait_for_busy_workers(serve):
    """
    ``--now`` kills who is busy.
    """
    server = serve("-w", "1").ready(1)
    with server.connect() as client:
        pid = int(read_line(client))

        assert 0 == server.operate("stop", "--now").returncode

    assert 0 == server.wait(2)
    assert not server.is_alive(pid)


@pytest.mark.essential
def test_dump_shows_the_stacks_without_harm(serve, host):
    """
    Of all, or of one slot; the connection in progress goes on.
    """
    server = serve("-w", "2").ready(2)
    with server.connect() as client:
        pid = int(read_line(client))
        workers = server.result("dump")["workers"]
        assert [0, 1] == [worker["slot"] for worker in workers]
        assert server.workers() == {worker["slot"]: worker["pid"] for worker in workers}
        [busy] = [worker for worker in workers if worker["pid"] == pid]
        assert "in handle" in busy["stacks"]
        assert host.kernel <= busy["kernel"].keys()
        [one] = server.result("dump", str(busy["slot"]))["workers"]
        assert pid == one["pid"]
        assert 1 == one["stacks"].count("app.py")  # each dump is one dump

        shown = server.operate("dump", str(busy["slot"]))
        assert "in handle" in shown.stdout
        assert f"pid {pid}" in shown.stdout
        client.sendall(b"unharmed")
        assert b"unharmed" == client.recv(100)
    assert {worker["pid"] for worker in workers} == server.pids()


COMPUTES_IN_C = """
import itertools

def handle(connection, address):
    connection.recv(1)
    sum(itertools.repeat(0))
"""


@pytest.mark.posix
def test_dump_works_while_c_code_holds_the_lock_and_while_a_worker_is_stopped(serve, host):
    """
    The stacks of the first; of the second what the kernel knows.
    """
    server = serve("-w", "2", source=COMPUTES_IN_C).ready(2)
    with server.connect() as client:
        client.sendall(b"x")
        until(lambda: server.status()["pool"]["busy"] == 1)
        [busy] = [w for w in server.status()["workers"] if w["busy"]]
        [idle] = [w for w in server.status()["workers"] if not w["busy"]]
        server.freeze(idle["pid"])

        def stacks():
            return {w["slot"]: w for w in server.result("dump")["workers"]}

        def stacks_in_the_handler():
            found = stacks()
            return found if "in handle" in found[busy["slot"]]["stacks"] else None

        found = until(stacks_in_the_handler, what="a worker in its handler")

        assert "" == found[idle["slot"]]["stacks"]
        assert found[idle["slot"]]["kernel"].get("state", "T") == "T"
        server.operate("stop", "--now")
    assert 0 == server.wait()


@pytest.mark.windows_only
def test_dump_of_a_worker_whose_c_code_holds_the_lock_says_why_it_has_no_stacks(serve, host):
    """
    As that of a suspended one: a thread would have to write them.  It harms neither.
    """
    server = serve("-w", "2", source=COMPUTES_IN_C).ready(2)
    with server.connect() as client:
        client.sendall(b"x")
        until(lambda: server.status()["pool"]["busy"] == 1)
        [busy] = [w for w in server.status()["workers"] if w["busy"]]
        [idle] = [w for w in server.status()["workers"] if not w["busy"]]
        host.freeze(idle["pid"])

        def reports_without_stacks():
            reports = server.result("dump")["workers"]
            return reports if not any(report["stacks"] for report in reports) else None

        # Until the handler has got what was sent, the stacks show that it waits for that.
        reports = until(reports_without_stacks, what="a worker that computes in C")

        assert {busy["pid"], idle["pid"]} == {report["pid"] for report in reports} == server.pids()
        assert all("no stacks came" in report["note"] for report in reports)
        server.operate("stop", "--now")
    assert 0 == server.wait()


def test_dump_of_an_empty_slot_is_refused(serve):
    """
    A sentence that names the slot.
    """
    server = serve("-w", "1").ready(1)

    done = server.operate("dump", "7")

    assert 2 == done.returncode
    assert "no worker in slot 7" in done.stderr


def test_why_lists_the_last_decisions(serve):
    """
    With the time of day, the kind, and the reason.
    """
    server = serve("-w", "1").ready(1)
    assert "none yet\n" == server.operate("why").stdout
    server.result("scale", "2")

    [decision] = server.result("why")["decisions"]

    assert ("scale", 1, 2) == (decision["kind"], decision["before"], decision["after"])
    assert {"at", "why", "inputs"} <= decision.keys()
    assert "scale 1 → 2: the limits are 2 to 2 now" in server.operate("why").stdout


def test_two_servers_have_two_names(serve, host):
    """
    Each command reaches the one it names, and says so when it is not said which.
    """
    first = serve("-w", "1", "--name", "red").ready(1)
    second = serve("-w", "2", "--name", "blue").ready(2)

    assert first.pid == first.result("status")["pid"]
    assert second.pid == second.result("status")["pid"]
    undecided = host.operate(first.env, "status")
    assert 6 == undecided.returncode
    assert "red" in undecided.stderr
    assert "blue" in undecided.stderr
    assert "--name" in undecided.stderr
    assert 0 == first.operate("stop").returncode
    assert second.ask(b"x").endswith(b"x")


def test_a_name_that_is_taken_is_changed(serve, host):
    """
    The second server starts all the same, under another name that it tells.
    """
    first = serve("-w", "1", "--name", "same").ready(1)
    second = serve("-w", "1", "--name", "same")

    event = second.wait_for("name is taken")
    second.wait_for("worker ready")

    assert ("same", first.pid) == (event["name"], event["by"])
    assert f"same-{second.pid}" == event["instead"]
    done = host.operate(first.env, "status", "--json", "--name", event["instead"])
    assert second.pid == json.loads(done.stdout)["pid"]
    assert first.pid == first.result("status")["pid"]


@pytest.mark.posix
@pytest.mark.parametrize("form", ["path", "abstract"])
def test_the_control_socket_can_be_elsewhere(serve, host, runtime, form):
    """
    ``--control unix:PATH`` and ``unix:@NAME``, for the server and for the commands.
    """
    address = f"unix:{runtime / 'c'}" if form == "path" else f"unix:@{runtime.name}"
    server = serve("-w", "1", "--control", address).ready(1)

    for command in (["status"], ["scale", "2"], ["why"], ["dump"]):
        done = host.operate(server.env, *command, "--json", "--control", address)
        assert 0 == done.returncode, done.stderr
    server.ready(2)
    assert 0 == host.operate(server.env, "stop", "--control", address).returncode
    assert not (runtime / "c").exists()


def test_without_a_control_socket_the_status_is_there_all_the_same(serve):
    """
    ``--control off``: only what would change something is refused.
    """
    server = serve("-w", "1", "--control", "off").ready(1)

    assert server.pid == server.result("status")["pid"]
    done = server.operate("scale", "2")
    assert 6 == done.returncode
    assert "has no control socket" in done.stderr


@pytest.mark.posix
def test_the_control_socket_is_for_its_owner_only(serve):
    """
    Nobody else may open socket or scoreboard.
    """
    server = serve("-w", "1").ready(1)
    path = server.status()["control"].removeprefix("unix:")

    assert 0o600 == os.stat(path).st_mode & 0o777  # noqa: PTH116
    assert 0o600 == server.scoreboard.stat().st_mode & 0o777
    assert 0o700 == server.scoreboard.parent.stat().st_mode & 0o777


@pytest.mark.posix
def test_nonsense_on_the_control_socket_does_no_harm(serve):
    """
    An answer to whatever is a line, an end for whoever sends none, and the server serves on.
    """
    server = serve("-w", "1").ready(1)
    path = server.status()["control"].removeprefix("unix:")
    with socket.socket(socket.AF_UNIX) as operator:
        operator.settimeout(5)
        operator.connect(path)
        for line in (b"\n", b"{}\n", b"[1]\n", b'{"command": []}\n', b"\xff\xfe\n", b'"x"\n'):
            operator.sendall(line)
            answer = json.loads(read_line(operator))
            assert (False, str) == (answer["ok"], type(answer["error"]))
        for request in (
            {"command": "scale", "minimum": 2, "maximum": 1},
            {"command": "scale", "minimum": "1", "maximum": True},
            {"command": "dump", "slot": "x"},
            {"command": "dump", "slot": 10**30},
            {"command": "dump", "slot": {}},
        ):
            operator.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(read_line(operator))
            assert not answer["ok"], request
    with socket.socket(socket.AF_UNIX) as flood:
        flood.settimeout(5)
        flood.connect(path)
        with pytest.raises(OSError):
            while True:
                flood.sendall(b"x" * 65536)

    assert server.ask(b"x").endswith(b"x")
    assert "running" == server.result("status")["state"]


def test_check_shows_each_setting_and_its_source(write, host, runtime, tmp_path):
    """
    It binds nothing, loads the target, and exits with the codes of the server.
    """
    write("def handle(connection, address): ...\n")
    env = host.environment(runtime, PREFORK_TIMEOUT="7")

    def check(*arguments):
        return host.operate(env, "check", *arguments, cwd=tmp_path)

    done = check("app", "--json", "-w", "2..3")
    told = json.loads(done.stdout)
    assert {"name": "app:handle", "kind": "stream"} == told["handler"]
    workers = {"value": {"minimum": 2, "maximum": 3}, "source": "flag --workers"}
    assert workers == told["settings"]["workers"]
    assert {"value": 7.0, "source": "PREFORK_TIMEOUT"} == told["settings"]["timeout"]
    assert "app:handle is a handler of the kind stream" in check("app").stdout
    broken = check("no_such_module")
    assert (4, "") == (broken.returncode, broken.stdout)
    assert 2 == check("app", "--threads", "0").returncode


def test_five_mistakes_in_one_command_are_five_sentences(write, host, runtime, tmp_path):
    """
    Exit 2; each names the setting, the value, its source and what is allowed.
    """
    write("def handle(connection, address): ...\n")
    env = host.environment(runtime, PREFORK_SPARE="-3")
    flags = ["-w", "8..2", "--timeout", "soon", "--bind", "nowhere", "--log-level", "loud"]

    done = host.operate(env, "serve", "app", *flags, cwd=tmp_path)

    sentences = done.stderr.splitlines()
    assert 2 == done.returncode
    assert 5 == len(sentences)
    for setting, value, source in (
        ("workers", "8..2", "flag --workers"),
        ("timeout", "soon", "flag --timeout"),
        ("bind", "nowhere", "flag --bind"),
        ("log-level", "loud", "flag --log-level"),
        ("spare", "-3", "PREFORK_SPARE"),
    ):
        [sentence] = [line for line in sentences if line.startswith(f"prefork: {setting} ")]
        assert value in sentence
        assert source in sentence
