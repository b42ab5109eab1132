"""Fixtures of the tests that run Windows programs by Wine."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wine import HERE, INSIDE, Program, Wine
from wine.make import directory

collect_ignore = ["inside"]  # these run in a Windows Python, see test_inside.py


@pytest.fixture(scope="session")
def warm_wine() -> Iterator[Wine]:
    """
    Wine with its services up.
    """
    wine = Wine(directory())
    if shutil.which("wine") is None or not wine.is_made:
        pytest.skip(f"there is no Windows Python in {wine.place}: tests/wine/make.py makes one")
    wine.keep()
    yield wine
    wine.close()


@pytest.fixture
def wine(warm_wine: Wine) -> Iterator[Wine]:
    """
    Starts Windows programs, and ends them whatever happens.
    """
    yield warm_wine
    warm_wine.end()


@pytest.fixture
def arbiter(wine: Wine) -> Callable[..., Program]:
    """
    Starts the least that an arbiter can be, ``inside/arbiter.py``, with its options.
    """

    def start(**options: object) -> Program:
        program = wine.start(INSIDE / "arbiter.py", json.dumps(options))
        program.wait_for("listening")
        return program

    return start


@pytest.fixture(scope="session")
def sschild(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    The program of somebody else's, compiled.
    """
    program = tmp_path_factory.mktemp("programs") / "SSChild.exe"
    words = ["x86_64-w64-mingw32-g++", "-O2", "-static", str(HERE / "sschild.cpp")]
    subprocess.run([*words, "-o", str(program), "-lws2_32"], check=True)
    return program
