"""The script that makes the Windows Python."""

import os
import shutil
import subprocess
import sys

import pytest

from rig.server import elapsed
from wine import HERE

pytestmark = pytest.mark.slow


def make(*arguments, python=sys.executable):
    command = [python, str(HERE / "make.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_what_is_made_is_left_as_it_is(wine):
    """
    A second run says that it is there, in no time.
    """
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the library is that of a Python 3.11")
    done = []

    took = elapsed(lambda: done.append(make(wine.place)))

    assert (0, f"there is a Windows Python in {wine.place}\n") == (
        done[0].returncode,
        done[0].stdout,
    )
    assert took < 5


def test_a_python_whose_library_would_not_do_is_refused(tmp_path):
    """
    By a sentence, and nothing is made.
    """
    other = next(filter(None, map(shutil.which, ("python3.12", "python3.13", "python3.10"))), None)
    command = [other or "false", "-V"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("there is no other Python")

    done = make(tmp_path / "wine", python=other)

    assert 1 == done.returncode
    assert "it takes the library of a Python 3.11, and this is 3." in done.stderr
    assert not os.listdir(tmp_path)
