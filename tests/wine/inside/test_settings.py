"""What a user says, on Windows: targets with drives, settings that are refused, the check."""

import importlib
import json

import pytest

from prefork.cli import main
from prefork.kinds import targets as handlers

MODULES = [
    "cli.check",
    "cli.echo",
    "cli.exec",
    "cli.foreign",
    "cli.serve",
    "kinds",
    "kinds.shapes",
    "kinds.targets",
    "settings.checks",
    "settings.cpus",
    "settings.environment",
    "settings.reference",
    "settings.resolve",
    "settings.toml",
    "sockets.addresses",
    "worker.accept.datagrams",
    "worker.servers",
]
TEXT = """\
def handle(connection, address):
    pass


async def talk(reader, writer):
    pass
"""


@pytest.mark.parametrize("name", MODULES)
def test_modules_that_are_for_all_systems_can_be_imported(name):
    """
    They need nothing that Windows does not have.
    """
    importlib.import_module(f"prefork.{name}")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """
    A directory with a handler, which is where the command is given.
    """
    (tmp_path / "below").mkdir()
    for path in (tmp_path / "shout.py", tmp_path / "below" / "other.py"):
        path.write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "target",
    [
        "shout.py:handle",
        "shout:handle",
        "shout",
        r"below\other.py:handle",
        r".\below\other.py",
        "below/other.py",
        "{place}\\shout.py:handle",
        "{place}\\shout.py",
        "SHOUT.PY:handle",
    ],
)
def test_a_target_is_found_by_its_path(place, target):
    """
    With a drive, with backslashes, and whatever the case of its ending.
    """
    handler = handlers.load(target.format(place=place))

    assert ("handle", "stream") == (handler.target.__name__, handler.kind)
    assert handler.name.endswith(":handle")


def test_check_shows_what_would_be_in_effect(place, capsys):
    """
    Of what Windows has; event loops may wait for the mutex here.
    """
    words = ["--accept", "mutex", "--loop", "selector", "--accept-mutex-name", r"Local\ours"]

    assert 0 == main(["check", f"{place}\\shout.py:talk", *words, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert 0 == main(["check", "shout.py:talk", *words])
    shown = capsys.readouterr().out

    settings = {name: told["settings"][name]["value"] for name in told["settings"]}
    assert ("asyncio", "shout") == (told["handler"]["kind"], settings["name"])
    assert (500, r"Local\ours") == (settings["concurrency"], settings["accept-mutex-name"])
    assert "accept-mutex-name" in shown
    assert "umask" not in shown


def test_what_windows_does_not_have_is_refused_at_once(place, capsys):
    """
    One sentence for each, and exit code 2.
    """
    words = ["--user", "www", "--start", "fork", "--bind", "unix:app.sock", "--chdir", r"C:\none"]

    assert 2 == main(["check", "shout.py", *words])

    told = capsys.readouterr().err.splitlines()
    assert 4 == len(told)
    assert any(r"chdir cannot be 'C:\none' (from flag --chdir)" in line for line in told)
