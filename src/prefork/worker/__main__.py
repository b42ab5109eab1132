"""A spawned worker: a fresh interpreter that got its listeners' descriptors as arguments."""

import argparse
import os
import socket
import sys

from prefork import wire
from prefork.errors import HandlerError
from prefork.handlers import find
from prefork.worker.boot import Worker, failure, settle
from prefork.worker.plan import read_plan


def main() -> int:
    """Become the worker that the arguments describe; return its exit status."""
    parser = argparse.ArgumentParser(prog="prefork.worker", description=__doc__)
    parser.add_argument("--slot", type=int, required=True)
    parser.add_argument("--plan", type=int, required=True, help="descriptor of the plan")
    parser.add_argument("--channel", type=int, required=True, help="descriptor to the arbiter")
    parser.add_argument("--dump", type=int, required=True, help="descriptor for stacks")
    parser.add_argument("--listener", type=int, action="append", help="descriptor; repeatable")
    arguments = parser.parse_args()
    plan = read_plan(arguments.plan)
    for fd in (arguments.plan, arguments.channel, arguments.dump, plan.scoreboard, plan.mutex):
        if fd is not None:
            os.set_inheritable(fd, False)  # programs that the user's code starts get none of it
    settle(plan)
    channel = socket.socket(fileno=arguments.channel)
    worker = Worker(plan, arguments.slot, channel, arguments.dump)
    try:
        target = find(plan.settings.target)
    except HandlerError as error:
        worker.channel.tell(failure(str(error), error))
        return 4
    worker.channel.tell(wire.Loaded())
    return worker.run(target)


if __name__ == "__main__":
    sys.exit(main())
