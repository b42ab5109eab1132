"""What each of our interpreters imports: every module costs time at each start, and memory."""

import subprocess
import sys

import pytest

#: What all of them import, and with each what it imports itself, which differs from one Python to
#: the next.
COMMON = (
    "array collections.abc contextlib ctypes dataclasses errno fcntl functools grp importlib io "
    "itertools json math mmap msgspec os pathlib pwd re resource select shlex signal socket stat "
    "struct sys termios threading time traceback types typing"
)

INTERPRETERS = {
    "the command line that starts a server": (
        "import prefork.cli.start, prefork.cli.serve, prefork.launch.posix",
        "argparse difflib gc inspect setproctitle shlex socketserver subprocess",
        "arbiter cli core errors ipc kinds launch logs platform settings sockets worker",
    ),
    "an operator's command line": (
        "import prefork.cli.status, prefork.cli.scale, prefork.cli.why, prefork.cli.stop",
        "argparse datetime gc inspect socketserver",
        "cli control core errors ipc kinds logs platform settings sockets status",
    ),
    "the arbiter": (
        "import prefork.arbiter.__main__",
        "gc inspect selectors setproctitle socketserver",
        "arbiter control core errors incidents ipc kinds logs platform settings sockets status "
        "worker",
    ),
    "the mold": (
        "import prefork.worker.early, prefork.worker.mold",
        "atexit faulthandler gc inspect setproctitle socketserver",
        "core errors ipc kinds logs platform settings sockets worker",
    ),
    "a spawned worker": (
        "import prefork.worker.__main__",
        "atexit faulthandler inspect setproctitle socketserver",
        "core errors ipc kinds logs platform settings sockets worker",
    ),
}

#: Parts of allowed packages that are not for these.
FORBIDDEN = {
    "the command line that starts a server": {
        "prefork.arbiter.loop",
        "prefork.core.pool",
        "prefork.worker.boot",
    },
    "an operator's command line": {"prefork.core.pool", "prefork.settings.resolve"},
    "the arbiter": {"prefork.kinds.targets", "prefork.settings.resolve", "prefork.worker.boot"},
    "the mold": {"prefork.core.pool", "prefork.settings.resolve", "prefork.worker.loop"},
    "a spawned worker": {"prefork.core.pool", "prefork.settings.resolve", "prefork.worker.loop"},
}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the list is of Linux")


@pytest.mark.parametrize("name", INTERPRETERS)
def test_an_interpreter_imports_what_is_listed_here_and_no_more(name):
    """
    A new name in the failure is to be avoided, imported only where it is needed, or listed.
    """
    statement, libraries, packages = INTERPRETERS[name]
    allowed = modules_after("import " + ", ".join(f"{COMMON} {libraries}".split()))
    allowed |= {f"prefork.{package}" for package in packages.split()} | {"prefork"}

    assert set() == tops(modules_after(statement)) - tops(allowed)


@pytest.mark.parametrize("name", FORBIDDEN)
def test_an_interpreter_has_no_part_that_is_for_others(name):
    """
    Neither the rules of the pool, nor what resolves settings, nor an event loop.
    """
    imported = modules_after(INTERPRETERS[name][0])

    assert set() == FORBIDDEN[name] & imported


def modules_after(statement: str) -> set[str]:
    """Return what a fresh interpreter has imported after ``statement``."""
    code = f"import sys; {statement}; print(*sys.modules, sep='\\n')"
    command = [sys.executable, "-P", "-c", code]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def tops(modules: set[str]) -> set[str]:
    """Return the outermost packages; of ours, the ones within."""
    return {
        ".".join(name.split(".")[: 2 if name.startswith("prefork.") else 1]) for name in modules
    }
