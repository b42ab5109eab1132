"""``prefork.serve``: the server as a child of a Python program.

The child gets the resolved settings as JSON in an inherited memory file, so it imports nothing of
what resolved them, nor anything of the user's.
"""

import os
from collections.abc import Callable, Sequence

from prefork.launch.arbiter import run_arbiter
from prefork.launch.surroundings import surroundings
from prefork.launch.targets import target_text
from prefork.settings import OPTIONS
from prefork.settings.names import NOT_OFFERED, meant
from prefork.settings.resolve import resolve
from prefork.settings.sources import Given, texts_of


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
    None is "not set".  Environment and file count as they do for the command line.
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
