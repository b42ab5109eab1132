"""A control server that answers as it is told, and a place without anyone's settings."""

import json
import os
import socket
import threading

import pytest


class Answering:
    """Answers each request on a Unix socket with the next of the given lines."""

    def __init__(self, path, answers, *, closes=True):
        self.address = f"unix:{path}"
        self.requests = []
        self._answers = answers
        self._closes = closes
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rw") as file:
            for answer in self._answers:
                self.requests.append(json.loads(file.readline()))
                if answer is None:
                    continue
                file.write(answer if isinstance(answer, str) else json.dumps(answer) + "\n")
                file.flush()
            if not self._closes:
                file.readline()

    def close(self):
        self._thread.join(5)
        self._listener.close()


@pytest.fixture
def answering(tmp_path):
    """Start control servers; they end with the test."""
    started: list = []

    def start(*answers, closes=True):
        started.append(Answering(tmp_path / f"c{len(started)}", answers, closes=closes))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Stand in an empty directory, with no variable that says anything."""
    for name in [*os.environ]:
        if name.startswith(("PREFORK_", "LISTEN_")) or name in ("PORT", "WEB_CONCURRENCY"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path
