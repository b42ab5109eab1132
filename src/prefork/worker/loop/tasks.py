"""Shows what the tasks of an event loop wait for, in the dump of a worker's stacks.

The stacks themselves are written in C, whatever holds the interpreter.  The tasks follow if
Python code still runs in the main thread: the loop may be stuck, but not in C for ever.
"""

import asyncio
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

_HOME: Final = Path(__file__).parents[2]
_OURS: Final = tuple(f"({_HOME / room}{os.sep}" for room in ("worker", "kinds"))
_MOST: Final = 200  #: tasks that are shown
_DEPTH: Final = 20  #: frames of each


def write_tasks(loop: asyncio.AbstractEventLoop, fd: int) -> None:
    """Write the tasks of ``loop`` to ``fd``; in any thread."""
    os.write(fd, tasks_text(loop).encode("utf-8", "backslashreplace"))


def tasks_text(loop: asyncio.AbstractEventLoop) -> str:
    """Return a line for each task of ``loop``: its name, and where it stands, outermost first."""
    current, tasks = asyncio.current_task(loop), asyncio.all_tasks(loop)
    ordered = sorted(tasks, key=lambda task: (task is not current, task.get_name()))
    lines = [f"\nTasks of the event loop: {len(tasks)}"]
    for task in islice(ordered, _MOST):
        places = [
            place for place in _places(task.get_coro()) if not any(ours in place for ours in _OURS)
        ]
        state = "runs, as the stack shows" if task is current else " > ".join(["waits", *places])
        lines.append(f"  {task.get_name()} {state}")
    if len(tasks) > _MOST:
        lines.append(f"  and {len(tasks) - _MOST} more")
    return "\n".join(lines) + "\n"


def _places(awaited: Any) -> Iterator[str]:
    """Yield where each coroutine of a chain stands that awaits the next; at its end, for what."""
    for _ in range(_DEPTH):
        for kind in ("cr", "gi", "ag"):
            code: CodeType | None = getattr(awaited, f"{kind}_code", None)
            if code is not None:
                frame: FrameType | None = getattr(awaited, f"{kind}_frame")
                line = code.co_firstlineno if frame is None else frame.f_lineno
                yield f"{code.co_qualname} ({code.co_filename}:{line})"
                awaited = getattr(awaited, f"{kind}_await", None) or getattr(
                    awaited, f"{kind}_yieldfrom", None
                )
                break
        else:
            if awaited is not None:
                yield type(awaited).__name__
            return
