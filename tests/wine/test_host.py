"""The agent, by which tests deal with Windows processes."""

import pytest

from rig.waiting import pause, until
from wine.host import WineHost

pytestmark = pytest.mark.slow

COUNTS = """
import json, os, subprocess, sys

def tell(**fields):
    os.write(1, json.dumps(fields).encode() + b"\\n")

if sys.argv[1] == "parent":
    child = subprocess.Popen([sys.executable, "-c", sys.argv[2], "child", sys.argv[2]], stdin=0)
    tell(event="parent", pid=os.getpid())
    sys.exit(child.wait())
while True:
    tell(event="counting", pid=os.getpid())
"""


def test_the_agent_suspends_resumes_and_kills(warm_wine, wine):
    """
    Each is so when the agent has answered; a process that has gone is no longer there for it.
    """
    host = WineHost(warm_wine)
    program = wine.start("-c", COUNTS, "parent", COUNTS)
    parent = program.wait_for("parent")["pid"]
    child = program.wait_for("counting")["pid"]

    assert [True, True] == [host.is_alive(parent), host.is_alive(child)]
    assert parent == host.parent_of(child)
    host.freeze(child)
    pause(0.2)  # until everything that it had said has been read
    before = len(program.events)
    used = host.cpu_seconds(child)
    pause(0.2)
    assert before == len(program.events)
    assert host.cpu_seconds(child) - used < 0.1
    host.thaw(child)
    until(lambda: len(program.events) > before, what="a process that goes on")
    host.kill(child)

    assert 1 == program.wait()
    assert not host.is_alive(child)
    with pytest.raises(ProcessLookupError):
        host.kill(child)
