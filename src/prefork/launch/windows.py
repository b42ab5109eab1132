"""Starting the arbiter on Windows."""

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator

import msgspec

from prefork.arbiter import ARBITER
from prefork.arbiter.__main__ import run
from prefork.platform.windows.api import Console, Event
from prefork.platform.windows.files import handle_of, memory_file
from prefork.platform.windows.process import interpreter
from prefork.settings import Settings
from prefork.sockets.addresses import parse_address


def become_arbiter(settings: Settings) -> int:
    """Be the arbiter, in this process, for no other program can take its place here.

    Returns the exit code.
    """
    return run(settings)


def run_arbiter(settings: Settings) -> int:
    """Run the arbiter as a child process, which stops when we die; return its exit code.

    Called in the main thread, Ctrl-C and Ctrl-Break are passed on.
    """
    file = memory_file("settings")
    with Event.create(resets=True) as interrupt, contextlib.ExitStack() as finally_:
        finally_.callback(os.close, file)
        os.write(file, msgspec.json.encode(settings))
        os.lseek(file, 0, os.SEEK_SET)
        handles = [handle_of(file), interrupt.value, *_adopted(settings)]
        for handle in handles:
            os.set_handle_inheritable(handle, True)
        executable, environ = interpreter()
        given = {"settings": handles[0], "parent": os.getpid(), "interrupt": interrupt.value}
        argv = [executable, "-P", "-m", ARBITER]
        argv += [word for name, value in given.items() for word in (f"--{name}", str(value))]
        finally_.enter_context(_passed_on(interrupt))
        process = subprocess.Popen(
            argv,
            env=environ,
            startupinfo=subprocess.STARTUPINFO(lpAttributeList={"handle_list": handles}),
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,  # Ctrl-C reaches it through us
            stdin=subprocess.DEVNULL,
            stdout=1,
            stderr=2,
        )
        return process.wait()


def user_number() -> int:
    """Return 0: users have no numbers here."""
    return 0


@contextlib.contextmanager
def _passed_on(interrupt: Event) -> Iterator[None]:
    """Set ``interrupt`` at Ctrl-C and Ctrl-Break, which then have no other effect."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    console = Console(lambda _: interrupt.set())
    try:
        yield
    finally:
        console.close()


def _adopted(settings: Settings) -> list[int]:
    addresses = [parse_address(text) for text in settings.bind]
    return [address.fd for address in addresses if address.scheme == "fd"]
