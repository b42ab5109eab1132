"""Other people's servers as workers, unchanged: each lives through the same story."""

import os
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPResponse

import pytest

from rig.clients import connect, read_line
from rig.processes import is_alive
from rig.programs import EXAMPLES, compiled, descendants, found
from rig.waiting import until

pytestmark = pytest.mark.slow

WEB = """
import asyncio, os

async def asgi(scope, receive, send):
    assert scope["type"] == "http"
    await asyncio.sleep(0.02)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % os.getpid()})

def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [b"%d" % os.getppid()]  # gunicorn serves from a process of its own
"""

READY_AFTER = 0.5  #: seconds

HTTP = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Foreign:
    """A server that knows nothing of prefork."""

    command: tuple[str, ...]
    request: bytes = HTTP
    hang: bytes = b""  #: makes it hang; one without is stopped instead
    notifies: bool = False  #: says itself when it is ready
    options: tuple[str, ...] = ()


def servers(directory):
    """
    Return all of them by name.
    """
    web = ("--app-dir", str(directory))
    return {
        "c": lambda: Foreign((compiled(directory), "{fd}"), b"x", hang=b"hang", notifies=True),
        "node": lambda: Foreign((found("node"), str(EXAMPLES / "server.js"), "{fd}")),
        "uvicorn": lambda: Foreign((found("uvicorn"), "--fd", "{fd}", *web, "web:asgi")),
        "listen-fds": lambda: Foreign(
            (sys.executable, str(EXAMPLES / "listen_fds.py")), b"x", hang=b"hang", notifies=True
        ),
        "gunicorn": lambda: Foreign(
            (found("gunicorn"), "-b", "fd://{fd}", "--chdir", str(directory), "web:wsgi"),
            notifies=True,
        ),
        "hypercorn": lambda: Foreign(
            (found("hypercorn"), "-w", "0", "-b", "fd://{fd}", "web:asgi")
        ),
        "shell": lambda: Foreign((str(EXAMPLES / "server.sh"), "{fd}", "{slot}"), b""),
    }


@pytest.mark.parametrize(
    "name", ["c", "node", "uvicorn", "listen-fds", "gunicorn", "hypercorn", "shell"]
)
def test_a_foreign_server_lives_as_workers_of_ours_do(start, write, tmp_path, name):
    """
    Three share a socket; one killed and one hung are replaced; five, then none are left.
    """
    write(WEB, "web.py")
    foreign = servers(tmp_path)[name]()
    server = start(
        *("exec", "-w", "3", "--ready-after", f"{READY_AFTER}", "--timeout", "1.5"),
        *("--graceful-timeout", "10", "--", *foreign.command),
    )
    server.ready(3, limit=30)
    server.wait_for("worker ready", count=3)
    _all_answer(server, foreign)
    _one_is_killed_and_replaced(server)
    _one_hangs_and_is_replaced(server, foreign)

    assert 0 == server.operate("scale", "5").returncode
    server.ready(5, limit=30)
    _all_answer(server, foreign)

    address = server.address
    left = descendants(server.pid)
    assert 0 == server.stop()
    until(lambda: not any(map(is_alive, left)), what="the end of all processes")
    with pytest.raises(ConnectionRefusedError):
        connect(address)
    exits = {event["cause"] for event in server.all("worker exited")[2:]}
    assert {"stopped"} == exits
    _readiness_was_told(server, foreign)


def _all_answer(server, foreign):
    """
    Each worker holds the same socket, and with enough clients at once each answers.
    """
    pids = server.pids()
    answered: set[int] = set()

    def look():
        with ThreadPoolExecutor(12) as clients:
            answered.update(clients.map(lambda _: _answer(server, foreign), range(24)))
        return pids <= answered

    until(look, 20, f"answers of {pids}")
    assert pids == answered


def _answer(server, foreign):
    with connect(server.address) as client:
        if foreign.request is HTTP:
            client.sendall(foreign.request)
            response = HTTPResponse(client)
            response.begin()
            return int(response.read())
        pid = int(read_line(client))
        client.sendall(foreign.request)
        client.shutdown(socket.SHUT_WR)
        return pid


def _one_is_killed_and_replaced(server):
    slot, pid = max(server.workers().items())
    os.kill(pid, signal.SIGKILL)
    exited = server.wait_for("worker exited", pid=pid)
    assert ("SIGKILL", "crashed") == (exited["status"], exited["cause"])
    server.wait_for("worker started", slot=slot, count=2)
    server.ready(3)


def _one_hangs_and_is_replaced(server, foreign):
    if foreign.hang:
        with connect(server.address) as client:
            pid = int(read_line(client))
            client.sendall(foreign.hang)
            exited = server.wait_for("worker exited", pid=pid)
        assert "SIGABRT" == exited["status"]  # the watchdog's way
    else:
        pid = server.workers()[1]
        os.kill(pid, signal.SIGSTOP)
        exited = server.wait_for("worker exited", pid=pid)
        assert "SIGKILL" == exited["status"]
    assert "hung" == exited["cause"]
    assert 1 == len(server.all("worker hung", pid=pid))
    server.ready(3)


def _readiness_was_told(server, foreign):
    """
    Who notifies is ready when it says so, the others some time after they were started.
    """
    delays = [event["after"] for event in server.all("worker ready")]

    assert foreign.notifies or min(delays) >= READY_AFTER
