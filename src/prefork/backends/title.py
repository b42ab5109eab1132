"""What ``ps`` and ``top`` show for our processes."""

import setproctitle


def show_as(role: str, name: str) -> None:
    """Show this process as ``prefork: ROLE of NAME``.

    The kernel's short name gets no spaces: CPython counts threads by the fields of
    /proc/self/stat, and from 3.12 on a name with spaces makes every fork warn of threads.
    """
    setproctitle.setproctitle(f"prefork: {role} of {name}")
    setproctitle.setthreadtitle("prefork:" + role.partition(" ")[0])
