"""What ``ps`` and ``top`` show for our processes."""

import setproctitle


def show_as(role: str, name: str, generation: int | None = None) -> None:
    """Show this process as ``prefork: ROLE of NAME (generation N)``.

    The kernel's short name gets no spaces: CPython counts threads by the fields of
    /proc/self/stat, and from 3.12 on a name with spaces makes every fork warn of threads.
    """
    suffix = "" if generation is None else f" (generation {generation})"
    setproctitle.setproctitle(f"prefork: {role} of {name}{suffix}")
    setproctitle.setthreadtitle("prefork:" + role.partition(" ")[0])
