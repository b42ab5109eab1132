"""What settings depend on besides what the user sets: this process, its machine and directory."""

import os
import sys

from prefork.kinds.targets.place import current_directory
from prefork.launch.arbiter import user_number
from prefork.settings.cpus import available_cpus
from prefork.settings.sources import Surroundings
from prefork.sockets.addresses import parse_address


def surroundings() -> Surroundings:
    """Return what the settings of this process depend on."""
    return Surroundings(
        environ=os.environ,
        directory=current_directory(),
        pid=os.getpid(),
        cpus=available_cpus(),
        terminal=sys.stderr is not None and sys.stderr.isatty(),
        check_address=parse_address,
        uid=user_number(),
    )
