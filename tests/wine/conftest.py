"""Fixtures of the tests that run Windows programs by Wine."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from wine import HERE, Wine
from wine.host import WineHost
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


@pytest.fixture(scope="session")
def host(warm_wine: Wine) -> WineHost:
    """
    The servers of these tests are Windows programs, whatever the others are.
    """
    return WineHost(warm_wine)


@pytest.fixture(scope="session")
def sschild(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    The program of somebody else's, compiled.
    """
    program = tmp_path_factory.mktemp("programs") / "SSChild.exe"
    words = ["x86_64-w64-mingw32-g++", "-O2", "-static", str(HERE / "sschild.cpp")]
    subprocess.run([*words, "-o", str(program), "-lws2_32"], check=True)
    return program
