"""The forms that only this server's settings have."""

import signal
from typing import Final

from prefork.kinds import offered
from prefork.settings.values import Form, matching

TEXT: Final = matching(r"[^\0]+", "it must be a text that is not empty", "TEXT")
PATH: Final = matching(r"[^\0]+", "it must be a path", "PATH")
ACCOUNT: Final = matching(r"[^\0:]+", "it must be a name or a number", "NAME")
ADDRESS: Final = matching(r".+", "it must be an address, as in tcp://127.0.0.1:8000", "ADDRESS")
PAIR: Final = matching(r"[^=\0]+=[^\0]*", "it must be NAME=VALUE", "NAME=VALUE")
CONTROL: Final = matching(
    r"auto|off|unix:.+|tcp://127\.0\.0\.1:[0-9]{1,5}",
    "it must be auto, off, unix:PATH or unix:@NAME, on Windows auto, off or tcp://127.0.0.1:PORT",
    "ADDRESS",
)
#: 260 characters at most, MAX_PATH, is what CreateMutex takes; a prefix names the session.
MUTEX: Final = matching(
    r"(?=.{1,260}$)(Local\\|Global\\)?[^\0\\]+",
    "it must be 1 to 260 characters without a backslash, except Local\\ or Global\\ in front",
    "NAME",
)


def _kind(text: str) -> str:
    name = text.lower()
    if name not in ("auto", *offered()):
        raise ValueError
    return name


#: What kinds there are is looked up when it matters: arbiter and workers need none of this.
KIND: Final = Form(
    _kind,
    lambda: f"it must be one of auto, {', '.join(offered())}",
    lambda: f"auto|{'|'.join(offered())}",
)


def _signal(text: str) -> str:
    name = text.upper().removeprefix("SIG")
    if f"SIG{name}" not in signal.Signals.__members__:
        raise ValueError
    return name


SIGNAL: Final = Form(_signal, "it must be the name of a signal, as in TERM, INT or QUIT", "NAME")
NAME: Final = matching(
    r"[\w.@:+-]{1,64}", "it must be 1 to 64 letters, digits or any of . _ @ : + -", "NAME"
)
