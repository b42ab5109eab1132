"""Where the file of a program is, on Windows."""

import pytest

from prefork.errors import HandlerError
from prefork.platform.lookup import find_program


@pytest.fixture
def place(tmp_path):
    """
    Two directories of PATH, and the one that a program would start in.
    """
    for name in ("here", "first", "second"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def find(place):
    """
    Finds a program, whose file it tells by its directory and name.
    """

    def found(program):
        path = f'{place / "first"};;"{place / "second"}"'
        environ = {"PATH": path, "PATHEXT": ".COM;.EXE;.BAT;.PY"}
        file = find_program(program, environ, place / "here")
        return f"{file.parent.name}/{file.name.lower()}"

    return found


def test_the_current_directory_comes_before_those_of_path(find, place):
    """
    As for the command line of Windows; the ending need not be said.
    """
    (place / "second" / "tool.exe").touch()
    assert "second/tool.exe" == find("tool")
    (place / "first" / "tool.exe").touch()
    assert "first/tool.exe" == find("tool.exe")
    (place / "here" / "tool.exe").touch()
    assert "here/tool.exe" == find("TOOL")


def test_a_program_with_a_place_is_only_there(find, place):
    """
    Relative to where it would start, or absolute; both slashes separate.
    """
    (place / "first" / "tool.exe").touch()
    (place / "here" / "tool.exe").touch()
    for program in (r"..\first\tool", "../first/tool.exe", str(place / "first" / "tool")):
        assert "first/tool.exe" == find(program)
    with pytest.raises(HandlerError, match="there is no file"):
        find(r"..\second\tool")


def test_endings_are_tried_in_the_order_of_pathext(find, place):
    """
    Those that the system starts by itself; a file without any comes last.
    """
    for name in ("tool", "tool.py", "tool.exe", "tool.com", "two.words.exe"):
        (place / "here" / name).touch()
    assert "here/tool.com" == find("tool")
    assert "here/two.words.exe" == find("two.words")
    (place / "here" / "tool.com").unlink()
    (place / "here" / "tool.exe").unlink()
    assert "here/tool" == find("tool")
    assert "here/tool.py" == find("tool.py")


@pytest.mark.parametrize("program", ["run", "run.bat", "RUN.CMD"])
def test_a_batch_file_is_refused(find, place, program):
    """
    cmd.exe would understand its arguments in its own way.
    """
    (place / "first" / "run.bat").touch()
    (place / "first" / "run.cmd").touch()
    with pytest.raises(HandlerError, match="it is a batch file"):
        find(program)
