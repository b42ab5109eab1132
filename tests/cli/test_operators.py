"""The operator commands against a control socket that answers as it is told."""

import json

import pytest

from prefork.cli import main
from prefork.control.client import Control
from prefork.errors import ControlError

STATUS = {
    "version": 1, "name": "echo", "pid": 100, "state": "running", "generation": 1, "uptime": 3725.0,
    "listeners": [{"address": "tcp://127.0.0.1:1500", "queued": None, "backlog": 2048}],
    "pool": {"minimum": 1, "maximum": 8, "target": 2, "starting": 0, "ready": 2, "busy": 1,
             "idle": 1, "draining": 0},
    "totals": {"accepted": 10, "handled": 9, "failed": 0},
    "workers": [
        {"slot": 0, "pid": 101, "generation": 1, "state": "ready", "busy": True, "active": 1,
         "accepted": 10, "handled": 9, "failed": 0, "age": 12.4, "busy_for": 0.2,
         "peer": "[::1]:50000"},
        {"slot": 1, "pid": 102, "generation": 1, "state": "ready", "busy": False, "active": 0,
         "accepted": 0, "handled": 0, "failed": 0, "age": 12.4, "busy_for": 0.0, "peer": None},
    ],
}  # fmt: skip
WORKER = {
    "slot": 0, "pid": 7, "generation": 1, "state": "ready", "stacks": "Current thread 0x1:\n",
    "kernel": {"state": "S", "wchan": "inet_csk_accept"},
}  # fmt: skip
DECISION = {
    "at": 1e9, "kind": "scale", "before": 1, "after": 2, "why": "one waits.",
    "inputs": {"busy": 1, "queued": None, "delay": 0.1},
}  # fmt: skip


def ok(result):
    return {"ok": True, "result": result}


@pytest.mark.parametrize(
    ("argv", "request_sent", "result", "shown"),
    [
        (["scale", "1..4"], {"command": "scale", "minimum": 1, "maximum": 4},
         {"minimum": 1, "maximum": 4, "target": 2}, ["workers: 1..4, 2 wanted now"]),
        (["scale", "0..2"], {"command": "scale", "minimum": 0, "maximum": 2},
         {"minimum": 0, "maximum": 2, "target": 0}, ["0..2"]),
        (["dump"], {"command": "dump", "slot": None}, {"workers": [WORKER]},
         ["slot 0, pid 7", "wchan inet_csk_accept", "Current thread"]),
        (["dump", "0"], {"command": "dump", "slot": 0}, {"workers": []}, ["no worker"]),
        (["why"], {"command": "why"}, {"decisions": [DECISION]},
         ["scale 1 → 2: one waits.  [busy=1 queued=unknown delay=0.1]"]),
        (["why"], {"command": "why"}, {"decisions": []}, ["none yet"]),
        (["status"], {"command": "status"}, STATUS,
         ["up 1h 2m", "workers 1..8, 2 wanted", "queued unknown of 2048", "[::1]:50000"]),
    ],
)  # fmt: skip
def test_a_command_shows_the_answer_to_its_request(
    answering, capsys, argv, request_sent, result, shown
):
    """
    As text, or the result itself in JSON.
    """
    server, again = answering(ok(result)), answering(ok(result))

    codes = (main([*argv, "--control", server.address]), capsys.readouterr().out)
    assert main([*argv, "--json", "--control", again.address]) == 0

    assert codes[0] == 0
    assert [request_sent] == server.requests == again.requests
    assert all(text in codes[1] for text in shown), codes[1]
    assert result == json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("now", [False, True])
def test_stop_waits_until_the_server_is_gone(answering, capsys, now):
    """
    The server closes the connection at its very end, which is what stop waits for.
    """
    server = answering(ok(STATUS), ok({"state": "stopping"}))

    code = main(["stop", "--control", server.address, *(["--now"] if now else [])])

    assert (code, capsys.readouterr().out) == (0, "echo has stopped\n")
    assert {"command": "stop", "now": now} == server.requests[1]


@pytest.mark.parametrize(
    ("answer", "code", "sentence"),
    [
        ({"ok": False, "error": "there is no worker in slot 9"}, 2, "there is no worker in slot 9"),
        ("no json\n", 6, "gave no answer to dump"),
        ("", 6, "gave no answer to dump: it closed the connection"),
    ],
)
def test_a_refusal_is_exit_2_and_a_bad_answer_exit_6(answering, capsys, answer, code, sentence):
    """
    One sentence, of the server or about it.
    """
    server = answering(answer)

    assert code == main(["dump", "9", "--control", server.address])
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("limits", ["4..2", "0", "-1", "many", "0..0", "1000000"])
def test_scale_refuses_what_makes_no_sense(elsewhere, capsys, limits):
    """
    Exit 2 and a sentence, whether there is a server or not.
    """
    assert 2 == main(["scale", limits, "--name", "nobody"])
    assert capsys.readouterr().err.startswith("prefork: ")


def test_a_server_that_does_not_answer_is_given_up(answering):
    """
    A stopped arbiter's socket still takes connections.
    """
    server = answering(None, closes=False)

    with (
        Control(server.address, patience=0.05) as control,
        pytest.raises(ControlError, match=r"did not answer within 0\.05 s"),
    ):
        control.ask("status")


def test_a_control_socket_that_is_not_there_is_exit_6(tmp_path, capsys):
    """
    The sentence names it.
    """
    code = main(["why", "--control", f"unix:{tmp_path}/none"])

    assert code == 6
    assert (
        f"cannot reach the server at unix:{tmp_path}/none: No such file" in capsys.readouterr().err
    )


def test_several_answers_come_over_one_connection(answering):
    """
    Even when they arrive in one piece.
    """
    server = answering('{"ok": true, "result": 1}\n{"ok": true, "result": 2}\n', None)

    with Control(server.address) as control:
        assert [control.ask("a"), control.ask("b")] == [1, 2]
