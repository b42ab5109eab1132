"""Flags of other servers that prefork does not have, and what to report about each."""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from prefork.settings.names import NOT_OFFERED, meant, similar


class Foreign(Struct, frozen=True):
    """A flag that another server knows."""

    hint: str  #: follows the flag in a sentence
    takes_value: bool | None = True  #: None is "perhaps"


_ABSENT: Final = "is not offered by this version"
_KIND: Final = "is not needed: the kind of handler is detected from the target, or set by --kind"
_MOLD: Final = (
    "is not needed: with --start fork, workers are forked from a process that has imported the "
    "target"
)
_DAEMON: Final = (
    "is not offered: prefork stays in the foreground, under systemd, in a container or with &"
)
_LOG: Final = "is not offered: the log goes to standard error; see --log-level and --log-format"
_ACCEPT: Final = "is not needed: the workers share one socket; --accept says how they wait on it"

#: gunicorn 27, uvicorn 0.54, hypercorn 0.18, granian 2.8.
FOREIGN: Final[dict[str, Foreign]] = {
    **{f"--{name}": Foreign(_ABSENT, None) for name in NOT_OFFERED},
    "--limit-max-requests": Foreign(_ABSENT),
    "--limit-max-requests-jitter": Foreign(_ABSENT),
    "--timeout-keep-alive": Foreign(_ABSENT),
    "--ssl-certfile": Foreign(_ABSENT),
    "--ssl-keyfile": Foreign(_ABSENT),
    "--ssl-ca-certs": Foreign(_ABSENT),
    "--reload-dir": Foreign(_ABSENT),
    "--proxy-headers": Foreign(_ABSENT, False),
    "--worker-class": Foreign(_KIND),
    "-k": Foreign(_KIND),
    "--interface": Foreign(_KIND),
    "--http": Foreign(_ABSENT),
    "--ws": Foreign(_ABSENT),
    "--preload": Foreign(_MOLD, False),
    "--preload-app": Foreign(_MOLD, False),
    "--daemon": Foreign(_DAEMON, False),
    "-D": Foreign(_DAEMON, False),
    "--reuse-port": Foreign(_ACCEPT, False),
    "--worker-tmp-dir": Foreign("is not needed: workers keep no temporary files"),
    "--app-dir": Foreign("is called --chdir here"),
    "--working-dir": Foreign("is called --chdir here"),
    "--pythonpath": Foreign("is not offered: use PYTHONPATH or --chdir"),
    "--proc-name": Foreign("is called --name here"),
    "--process-name": Foreign("is called --name here"),
    "--pid-file": Foreign("is called --pidfile here"),
    "--worker-timeout": Foreign("is called --timeout here"),
    "--workers-kill-timeout": Foreign("is called --graceful-timeout here"),
    "--timeout-worker-healthcheck": Foreign("is called --boot-timeout here"),
    "--access-logfile": Foreign(_ABSENT),
    "--error-logfile": Foreign(_LOG),
    "--log-file": Foreign(_LOG),
    "--log-config": Foreign(_LOG),
    "--env-file": Foreign("is not offered: use --env; the environment is inherited"),
    "--check-config": Foreign("is a command here: prefork check TARGET", False),
    "--print-config": Foreign("is a command here: prefork check TARGET", False),
}


def about(flag: str, known: Iterable[str]) -> str:
    """Return the sentence about a ``flag`` that is not one of the ``known`` ones."""
    if flag in FOREIGN:
        return f"the flag {flag} {FOREIGN[flag].hint}"
    if not flag.startswith("--") and flag[:2] in FOREIGN:  # -kgevent
        return f"the flag {flag[:2]} {FOREIGN[flag[:2]].hint}"
    return f"there is no flag {flag}{meant(flag, known)}"


def expects_value(flag: str, ours: Mapping[str, bool]) -> bool | None:
    """Return whether a value follows ``flag``, which is none of ``ours``; None is "perhaps"."""
    if flag in FOREIGN:
        return FOREIGN[flag].takes_value
    guess = similar(flag, ours)
    return ours[guess] if guess else None
