"""Fixtures of all tests that run servers."""

import shutil
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from rig.handlers import PID_ECHO
from rig.hosts import Host
from rig.server import HERE, Server
from rig.systems import runs_here

# How long an example takes depends on what else the machine does; endless ones meet the limit of
# pytest-timeout.
settings.register_profile("prefork", deadline=None)
settings.load_profile("prefork")


def pytest_addoption(parser: pytest.Parser) -> None:
    """
    ``--wine``: servers run in the Windows Python that tests/wine/make.py has made.
    """
    parser.addoption("--wine", action="store_true", help="run the tests of Windows, under Wine")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """
    Leaves out what is not for the system at hand; tests/wine has its own idea of that.
    """
    wine = config.getoption("--wine")
    theirs = Path(__file__).parent / "wine"
    chosen = {
        item: item.path.is_relative_to(theirs) or runs_here(item, wine=wine) for item in items
    }
    config.hook.pytest_deselected(items=[item for item in items if not chosen[item]])
    items[:] = [item for item in items if chosen[item]]


@pytest.fixture(scope="session")
def host(pytestconfig: pytest.Config) -> Iterator[Host]:
    """
    Where the servers run.
    """
    if not pytestconfig.getoption("--wine"):
        yield HERE
        return
    from wine.host import warm_host

    with warm_host() as windows:
        yield windows


@pytest.fixture
def runtime() -> Iterator[Path]:
    """
    A run-time directory of the test's own, with a path short enough for Unix sockets.
    """
    directory = Path(tempfile.mkdtemp(prefix="prefork-test-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """
    Writes a module of the user into the server's directory.
    """

    def write_module(source: str, name: str = "app.py") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return path

    return write_module


@pytest.fixture
def start(tmp_path: Path, runtime: Path, host: Host) -> Iterator[Callable[..., Server]]:
    """
    Starts servers, ``start("serve", "app", …)``, and ends them whatever happens.
    """
    servers: list[Server] = []

    def start_server(*arguments: str, **options: Any) -> Server:
        given = {"directory": tmp_path, "runtime": runtime, **options}
        servers.append(host.server(arguments, **given))
        return servers[-1]

    yield start_server
    for server in reversed(servers):
        server.end()


@pytest.fixture
def serve(start: Callable[..., Server], write: Callable[..., Path]) -> Callable[..., Server]:
    """
    Starts a server of a module: ``serve("-w", "2", source=…)``, by default PID_ECHO.
    """

    def serve_source(
        *arguments: str, source: str = PID_ECHO, target: str = "app", **options: Any
    ) -> Server:
        write(source)
        return start("serve", target, *arguments, **options)

    return serve_source
