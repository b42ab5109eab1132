"""Who is guilty, and what is written down."""

import json
import sysconfig
from pathlib import Path

import pytest

import prefork
from prefork.incidents import KEPT, guilty_frame, write_incident

STDLIB = sysconfig.get_path("stdlib")
OURS = str(Path(prefork.__file__).parent)


def frames(*places, header="Thread 0x00007f0000000000 (most recent call first):"):
    return "\n".join(
        [
            header,
            *(f'  File "{file}", line {line} in {function}' for function, file, line in places),
        ]
    )


CURRENT = "Current thread 0x00007f0000000001 (most recent call first):"


@pytest.mark.parametrize(
    ("stacks", "guilty"),
    [
        ("", None),
        ("<no Python frame>", None),
        (frames(("handle", "/app/a.py", 5)), "handle (/app/a.py:5)"),
        (
            frames(
                ("wait", f"{STDLIB}/threading.py", 320),
                ("query", "/app/db.py", 7),
                ("handle", "/app/a.py", 5),
                ("serve", f"{OURS}/worker/serving.py", 30),
            ),
            "query (/app/db.py:7)",
        ),
        (frames(("accept", f"{STDLIB}/socket.py", 293), ("x", f"{OURS}/worker/gate.py", 1)), None),
        (
            frames(("_run", "<frozen runpy>", 88), ("<module>", "/app/a.py", 1)),
            "<module> (/app/a.py:1)",
        ),
        (
            frames(("background", "/app/b.py", 1))
            + "\n\n"
            + frames(("handle", "/app/a.py", 2), header=CURRENT),
            "handle (/app/a.py:2)",
        ),
        (
            frames(("work", "/app/b.py", 1))
            + "\n\n"
            + frames(("accept", f"{OURS}/worker/gate.py", 2), header=CURRENT),
            "work (/app/b.py:1)",
        ),
        (
            frames(("run", f"{STDLIB}/site-packages/orm/core.py", 9), ("handle", "/app/a.py", 5)),
            "run (" + f"{STDLIB}/site-packages/orm/core.py" + ":9)",
        ),
    ],
    ids=[
        "empty",
        "none",
        "one",
        "innermost",
        "ours",
        "frozen",
        "current-first",
        "others",
        "packages",
    ],
)
def test_the_guilty_frame_is_the_innermost_of_the_users(stacks, guilty):
    """
    Not one of the standard library or of prefork; other packages count as the user's code.
    """
    assert guilty == guilty_frame(stacks)


REPORT = {"slot": 2, "pid": 17, "stacks": "first\nsecond", "kernel": {"state": "S"}}


def test_an_incident_is_a_file_of_json(tmp_path):
    """
    Readable by people: a line of the stacks is a line of the file.
    """
    path = write_incident(tmp_path / "incidents", {**REPORT, "what": "worker hung"})

    assert path is not None
    assert ["first", "second"] == json.loads(path.read_text())["stacks"]
    assert "slot2-pid17" in path.name
    assert 0o700 == path.parent.stat().st_mode & 0o777


@pytest.mark.parametrize("place", ["none", "below a file"])
def test_without_a_directory_there_is_no_file_and_no_error(tmp_path, place):
    """
    The log line has the important facts.
    """
    (tmp_path / "file").touch()
    directory = None if place == "none" else tmp_path / "file" / "incidents"

    assert write_incident(directory, REPORT) is None


def test_the_oldest_incidents_are_removed(tmp_path):
    """
    A pool that hangs every second does not fill the disk.
    """
    for pid in range(KEPT + 5):
        newest = write_incident(tmp_path, {**REPORT, "pid": pid})

    kept = list(tmp_path.iterdir())
    assert KEPT == len(kept)
    assert newest in kept
