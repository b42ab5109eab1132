"""Starting the arbiter: in place of this process, or as its child.

The arbiter gets the resolved settings as JSON in an inherited memory file, so it imports
nothing of what resolved them, nor anything of the user's.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, MutableMapping, Sequence
from typing import IO, Final, NoReturn

import msgspec

from prefork.addresses import parse_address
from prefork.handlers import current_directory
from prefork.launch.child import run_child
from prefork.launch.targets import target_text
from prefork.settings import OPTIONS, Settings
from prefork.settings.cpus import available_cpus
from prefork.settings.given import Given, Surroundings, texts_of
from prefork.settings.names import NOT_OFFERED, meant
from prefork.settings.resolve import resolve

_HELD_BACK: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def serve(
    target: str | Callable[..., object],
    *,
    bind: str | Sequence[str] | None = None,
    workers: int | str | None = None,
    config: str | os.PathLike[str] | None = None,
    **settings: object,
) -> int:
    """Serve ``target`` until it is stopped; return the exit code of the command line.

    ``target`` is a text as on the command line, or a function or class that workers can
    import.  The keywords are the settings' names with ``_``, the values Python's or texts;
    None is "not said".  Environment and file count as they do for the command line.
    In the main thread TERM, INT, QUIT, TTIN, TTOU and USR1 are passed on to the arbiter.

    Raises SettingsError with all mistakes, and HandlerError for a target that workers cannot
    import, or when the target itself calls this while it is imported.
    """
    problems: list[str] = []
    keywords = {"bind": bind, "workers": workers, **settings}
    given = _given(keywords, problems)
    given["target"] = Given((target_text(target),), "argument target")
    path = None if config is None else os.fspath(config)
    resolved = resolve(given, surroundings(), config=path, problems=problems)
    return run_arbiter(resolved.settings)


def surroundings() -> Surroundings:
    """Return what the settings of this process depend on."""
    return Surroundings(
        environ=os.environ,
        directory=current_directory(),
        pid=os.getpid(),
        cpus=available_cpus(),
        terminal=sys.stderr is not None and sys.stderr.isatty(),
        check_address=parse_address,
        uid=os.geteuid(),
    )


def exec_arbiter(settings: Settings) -> NoReturn:
    """Become the arbiter: the process id stays, so a supervisor sees one process all along."""
    file = settings_file(settings)
    os.set_inheritable(file.fileno(), True)
    forget_passed_sockets(os.environ)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    # They wait until the arbiter can hear them: an early Ctrl-C is a stop like any other.
    signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
    os.execv(sys.executable, arbiter_argv(file.fileno()))


def run_arbiter(settings: Settings) -> int:
    """Run the arbiter as a child process; return its exit code."""
    environ = dict(os.environ)
    forget_passed_sockets(environ)
    with settings_file(settings) as file:
        argv = [*arbiter_argv(file.fileno()), "--parent", str(os.getpid())]
        return run_child(argv, environ, (file.fileno(), *_adopted(settings)))


def arbiter_argv(fd: int) -> list[str]:
    """Return the arbiter's command line; ``fd`` holds the settings."""
    # -P: the current directory is the user's, and its select.py is not ours to import.
    return [sys.executable, "-P", "-m", "prefork.arbiter", "--settings", str(fd)]


def settings_file(settings: Settings) -> IO[bytes]:
    """Return an open file that has no name, holds ``settings`` and stands at its beginning."""
    if hasattr(os, "memfd_create"):
        file: IO[bytes] = os.fdopen(os.memfd_create("prefork-settings"), "w+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115  the caller closes it
    file.write(msgspec.json.encode(settings))
    file.flush()
    file.seek(0)
    return file


def forget_passed_sockets(environ: MutableMapping[str, str]) -> None:
    """Remove what sd_listen_fds(3) reads: by now the sockets are addresses in the settings."""
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        environ.pop(name, None)


def _given(keywords: dict[str, object], problems: list[str]) -> dict[str, Given]:
    by_name = {option.name: option for option in OPTIONS if option.name != "target"}
    found = {}
    for keyword, value in keywords.items():
        name = keyword.replace("_", "-")
        option = by_name.get(name)
        if option is None:
            problems.append(_unknown(keyword, [known.replace("-", "_") for known in by_name]))
        elif value is not None:
            try:
                found[name] = Given(texts_of(option, value), f"argument {keyword}")
            except ValueError:
                problems.append(
                    f"{name} cannot be {value!r} (from argument {keyword}): {option.form.allowed}"
                )
    return found


def _unknown(keyword: str, known: list[str]) -> str:
    if keyword.replace("_", "-") in NOT_OFFERED:
        return f"the argument {keyword} is not offered by this version"
    return f"there is no setting for the argument {keyword}{meant(keyword, known)}"


def _adopted(settings: Settings) -> list[int]:
    addresses = [parse_address(text) for text in settings.bind]
    return [address.fd for address in addresses if address.scheme == "fd"]
