"""A spawned worker: a fresh interpreter that got its listeners' descriptors as arguments."""

import sys

from prefork import wire
from prefork.errors import HandlerError
from prefork.handlers import find
from prefork.worker.boot import Worker
from prefork.worker.identity import catch_dumps, settle, take_over
from prefork.worker.loading import failure
from prefork.worker.plan import read_plan
from prefork.worker.timeouts import no_default_timeout


def main() -> int:
    """Become the worker that the arguments describe; return its exit status."""
    arguments = wire.arguments(sys.argv[1:])
    plan = read_plan(arguments["plan"][0])
    channel, dump = take_over(plan, arguments)
    catch_dumps(dump)
    try:
        settle(plan)
        target = find(plan.settings.target)
    except HandlerError as error:
        channel.sendall(wire.encode(failure(str(error), error)))
        return 4
    with no_default_timeout():
        worker = Worker(plan, arguments["slot"][0], channel, dump)
    worker.channel.tell(wire.Loaded())
    return worker.run(target)


if __name__ == "__main__":
    sys.exit(main())
