"""A spawned worker: a fresh interpreter that got its listeners' numbers as arguments."""

import socket
import sys

from prefork.errors import HandlerError
from prefork.ipc import messages
from prefork.kinds.targets.finding import find, import_kinds
from prefork.logs import log
from prefork.worker.boot import WorkerProcess
from prefork.worker.loading import failure
from prefork.worker.resources import Resources, apply_settings, inheritance
from prefork.worker.timeouts import no_default_timeout

#: Seconds that the end waits for a slow reader of the log.
FLUSH_TIMEOUT = 1.0


def main() -> int:
    """Become the worker that the arguments describe; return its exit status."""
    arguments = messages.arguments(sys.argv[1:])
    plan, channel, dump = inheritance(arguments)
    try:
        apply_settings(plan)
        import_kinds(plan.settings.outside_kinds)
        target = find(plan.settings.target)
    except HandlerError as error:
        channel.sendall(messages.encode(failure(str(error), error)))
        channel.shutdown(socket.SHUT_WR)  # or Windows might reset it before it is read
        return 4
    with no_default_timeout():
        worker = WorkerProcess(Resources(plan, arguments["slot"][0], channel, dump))
    worker.channel.send(messages.Loaded())
    try:
        return worker.run(target)
    finally:
        worker.channel.finish()
        log.current().finish(FLUSH_TIMEOUT)


if __name__ == "__main__":
    sys.exit(main())
