"""Finding the target, with errors that help."""

import os
import subprocess
import sys

import pytest

from prefork.errors import HandlerError
from prefork.kinds.targets.finding import find, load


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    """
    An importable directory of the test's own, and the interpreter's modules as they were.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("one_module", "one_module:handle"),
        ("one_module:other", "one_module:other"),
        ("one_module.py", "one_module.py:handle"),
        ("one_module.py:other", "one_module.py:other"),
        ("./one_module.py", "./one_module.py:handle"),
        ("./script", "./script:handle"),
        ("script", "script:handle"),
        ("my-script:other", "my-script:other"),
        ("script.v2", "script.v2:handle"),
        ("one_module:Place.inner", "one_module:Place.inner"),
    ],
)
def test_a_target_is_found_by_module_or_file(directory, target, name):
    """
    With or without an attribute, dotted or not.
    """
    for file in ("one_module.py", "script", "my-script", "script.v2"):
        (directory / file).write_text(
            "def other(connection, address): ...\n"
            "def handle(connection, address): ...\n"
            "class Place:\n"
            "    def inner(connection, address): ...\n"
        )

    assert name == load(target).name


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["main", "handle", "application", "app"], "app"),
        (["main", "handle", "application"], "application"),
        (["main", "handle"], "handle"),
        (["main"], "main"),
    ],
)
def test_without_an_attribute_the_first_that_exists_is_used(directory, names, taken):
    """
    app, application, handle, main.
    """
    text = "".join(f"def {name}(connection, address): ...\n" for name in names)
    (directory / "several.py").write_text(text)

    assert f"several:{taken}" == load("several").name


@pytest.mark.parametrize(
    ("text", "target", "said"),
    [
        (None, "absent", r"there is no module 'absent' in .*"),
        (None, "absent.deeper:handle", "there is no module 'absent'"),
        (None, "absent.py", "there is no file .*absent.py"),
        (None, "absent/absent", "there is no file .*absent"),
        ("", "broken.py/deeper.py", "there is no file .*deeper.py"),
        (None, "./", r"is a directory; name a file in it, as in app.py:handle"),
        (None, ".", "is a directory"),
        (None, "/dev/null", "is not a regular file"),
        (None, "not a module", "neither a module, .* nor a file"),
        (None, "", "neither a module"),
        (None, ":handle", "neither a module"),
        ("import absent\n", "broken", "importing broken raised ModuleNotFoundError"),
        ("1 / 0\n", "broken", "importing broken raised ZeroDivisionError: division by zero"),
        ("def x(:\n", "broken", "importing broken raised SyntaxError"),
        ("raise SystemExit(3)\n", "broken", r"SystemExit\(3\): it asked the process to exit"),
        ("raise KeyboardInterrupt\n", "broken", "raised KeyboardInterrupt"),
        ("x = 1\n", "broken:y", "broken has no attribute 'y'; it has: x"),
        ("x = 1\n", "broken:x.y", "broken has no attribute 'x.y'"),
        ("def __getattr__(name): 1 / 0\n", "broken:x", "reading broken:x raised ZeroDivision"),
        ("x = 1\n", "broken", "broken has none of the attributes app, application, handle, main"),
        ("1 / 0\n", "broken.py", "importing broken.py raised ZeroDivisionError"),
    ],
)
def test_errors_name_what_was_looked_for_and_where(directory, text, target, said):
    """
    A sentence for each way in which a target can be missing.
    """
    if text is not None:
        (directory / "broken.py").write_text(text)

    with pytest.raises(HandlerError, match=said):
        load(target)


def test_the_users_exception_is_the_cause(directory):
    """
    So that its traceback can be shown, without prefork's.
    """
    (directory / "failing.py").write_text("def f():\n    1 / 0\nf()\n")

    with pytest.raises(HandlerError) as raised:
        find("failing")

    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_a_missing_module_inside_the_target_is_a_different_error(directory):
    """
    ``import absent`` inside the target differs from a target that is absent.
    """
    (directory / "present.py").write_text("import presently\n")

    with pytest.raises(HandlerError, match="importing present raised ModuleNotFoundError"):
        find("present")


def test_a_file_can_import_modules_beside_it_and_define_dataclasses(directory):
    """
    It is a module like any other.
    """
    place = directory / "sub"
    place.mkdir()
    (place / "neighbour.py").write_text("X = 1\n")
    (place / "late.py").write_text(
        "from __future__ import annotations\n"
        "import dataclasses, neighbour\n"
        "@dataclasses.dataclass\n"
        "class Point:\n"
        "    x: int\n"
        "def handle(connection, address): ...\n"
    )

    assert "stream" == load("sub/late.py").kind.name


def test_a_factory_is_called(directory):
    """
    And its product is what is served.
    """
    (directory / "made.py").write_text("def make():\n    return lambda worker: None\n")

    assert "program" == load("made:make", factory=True).kind.name


def test_a_factory_that_raises_is_named(directory):
    """
    With what it raised.
    """
    (directory / "made.py").write_text("def make():\n    raise OSError('no database')\n")

    with pytest.raises(HandlerError, match="the factory made:make raised OSError: no database"):
        load("made:make", factory=True)


def test_a_factory_that_cannot_be_called_is_an_error(directory):
    """
    The sentence names its type.
    """
    (directory / "made.py").write_text("make = 3\n")

    with pytest.raises(HandlerError, match="made:make is of the type int and is no factory"):
        load("made:make", factory=True)


def test_a_given_kind_overrides_the_detected_one(directory):
    """
    If the target can be called in the way of that kind.
    """
    (directory / "odd.py").write_text("def handle(*arguments): ...\nnumber = 3\n")

    assert "program" == load("odd", kind="program").kind.name
    with pytest.raises(HandlerError, match="odd:number is of the type int"):
        load("odd:number", kind="stream")


AS_NOBODY = """\
import os, sys
from prefork.errors import HandlerError
from prefork.kinds.targets.finding import find
os.setuid(65534)
try:
    find(sys.argv[1])
except HandlerError as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize(("closed", "mode"), [("place", 0o700), ("place/app.py", 0o600)])
def test_a_file_that_cannot_be_read_is_an_error(runtime, closed, mode):
    """
    With --user this is found only after root is given up.
    """
    runtime.chmod(0o755)
    (runtime / "place").mkdir()
    file = runtime / "place" / "app.py"
    file.write_text("def handle(connection, address): ...\n")
    (runtime / closed).chmod(mode)

    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, file], cwd="/", capture_output=True, text=True, timeout=30
    )

    assert f"the file {file} cannot be read: Permission denied\n" == done.stdout, done.stderr


def test_a_removed_current_directory_affects_only_modules_in_it(directory):
    """
    Other modules are found.
    """
    place = directory / "place"
    place.mkdir()
    os.chdir(place)
    place.rmdir()

    assert "json:dumps" == find("json:dumps").name
    with pytest.raises(HandlerError, match=r"there is no file app\.py"):
        find("app.py")
