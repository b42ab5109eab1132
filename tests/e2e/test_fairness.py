"""How connections spread over idle workers, by each way to accept."""

from collections import Counter

import pytest

from rig.systems import each_accept, on_posix
from rig.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.windows]

CONNECTIONS = 300
WORKERS = 6


@pytest.mark.parametrize(
    ("options", "most"),
    [
        on_posix(["--accept", "auto"], 1.1),
        on_posix(["--accept", "blocking"], 1.1),
        on_posix(["--accept", "exclusive"], 1.1),
        on_posix(["--accept", "auto", "--bind", "unix:@{name}"], 1.1),
        (["--accept", "mutex"], 1.25),
        on_posix(["--accept", "mutex", "--accept-mutex", "fcntl"], 1.25),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_no_idle_worker_is_much_busier_than_the_mean(serve, host, runtime, options, most):
    """
    The busiest of six idle workers takes hardly more than its sixth of the connections.
    """
    options = [option.format(name=runtime.name) for option in options]
    server = serve("-w", str(WORKERS), *options).ready(WORKERS)
    # Ready is said just before the first accept: let each have got there.
    until(lambda: all(map(host.is_asleep, server.pids())), what="idle workers")

    # Whatever else this machine does can hold up a worker: then it is measured again.
    shares = (_busiest_share(server) for _ in range(3))

    assert any(share <= most for share in shares)


def _busiest_share(server):
    """Return how much the busiest worker took, against the mean."""
    taken = Counter(server.ask() for _ in range(CONNECTIONS))
    assert WORKERS == len(taken)
    return max(taken.values()) / (CONNECTIONS / WORKERS)


@each_accept
def test_workers_are_told_how_they_accept(serve, accept):
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
