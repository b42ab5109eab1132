"""``prefork dump``: the Python stacks of a worker, or of all, without harm to them."""

from collections.abc import Sequence
from typing import Any, Final

from prefork.cli.operator import connected, operator_parser, parsed, print_json, refuse_mistakes
from prefork.ipc.layout import SLOTS
from prefork.settings.values import whole

_FACTS: Final = ("state", "wchan", "syscall")


def run(argv: Sequence[str]) -> int:
    """Print the stacks.  Raises SettingsError, ControlError."""
    parser = operator_parser(
        "dump", "[SLOT] [options]", "Show the Python stacks of one worker or all."
    )
    line = parsed(parser, argv, most_words=1)
    slot = _slot(line.words, line.problems)
    refuse_mistakes(line)
    with connected(line) as control:
        result = control.ask("dump", slot=slot)
    if line.has("json"):
        print_json(result)
    else:
        print("\n\n".join(_text(worker) for worker in result["workers"]) or "no worker is running")
    return 0


def _slot(words: list[str], problems: list[str]) -> int | None:
    if not words:
        return None
    form = whole(0, SLOTS - 1)
    try:
        return int(form.convert(words[0]))
    except ValueError:
        problems.append(f"slot cannot be {words[0]!r} (from argument): {form.allowed}")
        return None


def _text(worker: dict[str, Any]) -> str:
    title = ", ".join(f"{key} {worker[key]}" for key in ("slot", "pid", "generation", "state"))
    kernel = ", ".join(f"{key} {value}" for key, value in (worker["kernel"] or {}).items())
    threads = "\n".join(_thread(thread) for thread in worker.get("threads", ()))
    seen = threads or (kernel and f"kernel: {kernel}")
    parts = (title, seen, worker.get("note"), worker["stacks"].rstrip())
    return "\n".join(part for part in parts if part)


def _thread(thread: dict[str, str]) -> str:
    """Return what the kernel reports of a thread of a program, whose own stacks cannot be read."""
    name = ascii(thread.get("comm", "?"))[1:-1]
    facts = ", ".join(f"{key} {thread[key]}" for key in _FACTS if key in thread)
    stack = "".join(f"\n    {line}" for line in thread.get("stack", "").splitlines())
    return f"thread {thread['tid']} ({name}): {facts}{stack}"
