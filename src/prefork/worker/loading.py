"""From a target to a handler that this pool can serve, and what to report of it."""

import importlib
import os
import traceback
from collections.abc import Collection
from pathlib import Path
from typing import Final

from prefork.errors import HandlerError
from prefork.ipc import messages
from prefork.ipc.plan import Plan
from prefork.kinds.targets.finding import LoadedHandler, Target
from prefork.kinds.targets.fitting import check_accept, check_addresses

_NOT_THE_USERS: Final = (
    str(Path(__file__).parents[1]) + os.sep,
    str(Path(importlib.__file__).parent) + os.sep,
    "<frozen importlib",
)


def made(target: Target, plan: Plan, datagrams: Collection[bool]) -> LoadedHandler:
    """Return the handler of ``target``, with what its kind needs imported.

    ``datagrams`` is, for each listener, whether it is one for datagrams.

    Raises HandlerError if it cannot be served as ``plan`` asks for, and whatever a factory raises.
    """
    settings = plan.settings
    handler = target.handler(factory=settings.factory, kind=settings.kind)
    check_accept(handler, settings.accept)
    check_addresses(handler, datagrams)
    handler.kind.check(settings)
    if handler.kind.event_loop:
        # Only here: asyncio costs memory and time that no other kind needs to spend.
        importlib.import_module("prefork.worker.loop.worker")
    if settings.threads > 1:
        importlib.import_module("concurrent.futures.thread")
    return handler


def ready(handler: LoadedHandler, plan: Plan) -> messages.Ready:
    """Return what to send once ``handler`` can be served."""
    kind = handler.kind
    capacity = kind.units_at_once(plan.settings)
    return messages.Ready(os.getpid(), kind.name, capacity, kind.event_loop)


def failure(reason: str, error: BaseException) -> messages.Failed:
    """Return the message that the target cannot be loaded, with the user's traceback."""
    cause = error.__cause__ if isinstance(error, HandlerError) else error
    text = "" if cause is None else "".join(traceback.format_exception(own_part(cause)))
    return messages.Failed(os.getpid(), reason[:5_000], text[-30_000:])  # fits one message


def own_part(error: BaseException) -> BaseException:
    """Cut our own frames, and those of the import system, from the beginning of the traceback."""
    entry = error.__traceback__
    while entry is not None and entry.tb_frame.f_code.co_filename.startswith(_NOT_THE_USERS):
        entry = entry.tb_next
    # Nothing is left of a module that was not found: then all of it is better than none.
    return error if entry is None else error.with_traceback(entry)
