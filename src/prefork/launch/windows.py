"""Starting the arbiter on Windows."""

# ruff: noqa: E402  (checkers on other systems pass over what follows the assertion)

import sys

assert sys.platform == "win32"

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from typing import Final

import msgspec

from prefork.addresses import parse_address
from prefork.arbiter.__main__ import run
from prefork.backends.winfiles import handle_of, memory_file
from prefork.backends.winprocess import interpreter
from prefork.settings import Settings

_HEARD_BY_THE_ARBITER: Final = (signal.SIGINT, signal.SIGBREAK)


def become_arbiter(settings: Settings) -> int:
    """Be the arbiter, in this process, for no other program can take its place here.

    Returns the exit code.
    """
    return run(settings)


def run_arbiter(settings: Settings) -> int:
    """Run the arbiter as a child process, which stops when we die; return its exit code.

    The console tells it of Ctrl-C, as it tells us.
    """
    file = memory_file("settings")
    try:
        os.write(file, msgspec.json.encode(settings))
        os.lseek(file, 0, os.SEEK_SET)
        handles = [handle_of(file), *_adopted(settings)]
        for handle in handles:
            os.set_handle_inheritable(handle, True)
        executable, environ = interpreter()
        argv = [executable, "-P", "-m", "prefork.arbiter", "--settings", str(handles[0])]
        info = subprocess.STARTUPINFO(lpAttributeList={"handle_list": handles})
        with _deaf():
            process = subprocess.Popen(
                [*argv, "--parent", str(os.getpid())],
                env=environ,
                startupinfo=info,
                stdin=subprocess.DEVNULL,
                stdout=1,
                stderr=2,
            )
            return process.wait()
    finally:
        os.close(file)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Let Ctrl-C and Ctrl-Break end only the arbiter, whose end is ours; for the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.signal(signum, _ignore) for signum in _HEARD_BY_THE_ARBITER}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)


def _ignore(signum: int, frame: object) -> None:
    """Exist, so that the console does not end us."""


def _adopted(settings: Settings) -> list[int]:
    addresses = [parse_address(text) for text in settings.bind]
    return [address.fd for address in addresses if address.scheme == "fd"]
