"""A child process that gets our signals, and whose exit code we wait for."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

_PASSED_ON: Final = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGUSR1,
)


def run_child(argv: Sequence[str], environ: Mapping[str, str], fds: Sequence[int]) -> int:
    """Run ``argv`` with the descriptors ``fds`` until it ends; return its exit code.

    A death by signal N is 128 + N, as in a shell.  Signals are passed on only when this is
    called in the main thread: no other may handle them.
    """
    with _received() as signals:
        # A process group of its own: Ctrl-C reaches it through us, once.
        process = subprocess.Popen(argv, env=environ, pass_fds=fds, process_group=0)
        try:
            if signals is not None:
                _pass_on(signals, process)
            code = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    return code if code >= 0 else 128 - code


def _pass_on(signals: socket.socket, process: "subprocess.Popen[bytes]") -> None:
    """Pass on what arrives until the child is gone; SIGCHLD wakes us for that."""
    while process.poll() is None:
        # The child is reaped only by the line above, so its id cannot mean another yet.
        for number in signals.recv(64):
            if number in _PASSED_ON:
                os.kill(process.pid, number)


@contextlib.contextmanager
def _received() -> Iterator[socket.socket | None]:
    """Yield a socket that has a byte for each signal; None outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield None
        return
    ours, interpreters = socket.socketpair()
    with ours, interpreters:
        interpreters.setblocking(False)
        wakeup = signal.set_wakeup_fd(interpreters.fileno(), warn_on_full_buffer=False)
        before = {
            number: signal.signal(number, _ignore) for number in (*_PASSED_ON, signal.SIGCHLD)
        }
        try:
            yield ours
        finally:
            for number, handler in before.items():
                # None: not set from Python, which then cannot put it back.
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
            signal.set_wakeup_fd(wakeup)


def _ignore(signum: int, frame: object) -> None:
    """Exist, so that the signal wakes us instead of killing us."""
