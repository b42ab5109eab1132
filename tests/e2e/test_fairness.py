"""How connections spread over idle workers, by each way to accept."""

import pytest

from e2e.evenness import busiest_share
from rig.systems import each_accept, on_posix
from rig.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.windows]


# The kernel wakes all who wait for a mutex, and the first to run has it: a throw of dice, which
# shows only after many, and which a scheduler with much else to do does not throw evenly.  What
# holds everywhere is that no worker takes nearly all; `python -m benchmarks even` measures more.
@pytest.mark.parametrize(
    ("options", "most", "each"),
    [
        on_posix(["--accept", "auto"], 1.1, 20),
        on_posix(["--accept", "blocking"], 1.1, 20),
        on_posix(["--accept", "exclusive"], 1.1, 20),
        on_posix(["--accept", "auto", "--bind", "unix:@{name}"], 1.1, 20),
        (["--accept", "mutex"], 1.6, 200),
        on_posix(["--accept", "mutex", "--accept-mutex", "fcntl"], 1.6, 200),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_no_idle_worker_is_much_busier_than_the_mean(serve, runtime, options, most, each):
    """
    The busiest of six takes hardly more than its sixth of the connections.
    """
    options = [option.format(name=runtime.name) for option in options]
    server = serve("-w", "6", *options).ready(6)

    assert busiest_share(server, server.ask, each) <= most


@each_accept
def test_the_way_to_accept_is_in_log_and_status(serve, accept):
    """
    ``--accept`` is what the log and the status say.
    """
    server = serve("--accept", accept, "-w", "1").ready(1)

    assert accept == server.wait_for("listening")["accept"]
    assert accept == server.status()["accept"]


@pytest.mark.parametrize("accept", [on_posix("exclusive"), "mutex"])
def test_several_listeners_are_served_by_every_worker(serve, accept):
    """
    Connections to each of three addresses, more than there are workers for one of them.
    """
    binds = ["tcp://127.0.0.1:0", "tcp://127.0.0.1:0", "tcp://[::1]:0"]
    options = [word for bind in binds for word in ("--bind", bind)]
    server = serve("-w", "3", "--accept", accept, *options).ready(3)
    addresses = server.addresses

    served: set[bytes] = set()

    def everybody_served():
        for address in addresses:
            pid, _, answer = server.ask_at(address, b"hi").partition(b"\n")
            assert b"hi" == answer
            served.add(pid)
        return len(served) == 3

    until(everybody_served, what="an answer of each worker")
    assert 3 == len(set(addresses))
