"""What only Linux has, on trees made for the purpose and on the real thing."""

import os
import sys

import pytest

from prefork.platform.linux import OutOfMemoryKills, kernel_state, thread_count

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="of Linux only")


@pytest.fixture
def tree(tmp_path):
    """
    A ``/proc/self`` and a ``/sys/fs/cgroup`` that say what a test wants.
    """

    def make(cgroup, files):
        (tmp_path / "proc").mkdir(exist_ok=True)
        (tmp_path / "proc" / "cgroup").write_text(cgroup)
        for name, text in files.items():
            path = tmp_path / "sys" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return OutOfMemoryKills(tmp_path / "proc", tmp_path / "sys")

    return make


EVENTS = "low 0\nhigh 2\nmax 5\noom 3\noom_kill {}\noom_group_kill 9\n"
V1 = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"

LAYOUTS = pytest.mark.parametrize(
    ("cgroup", "file", "text"),
    [
        ("0::/app.slice/a.service\n", "app.slice/a.service/memory.events", EVENTS),
        ("0::/\n", "memory.events", EVENTS),
        ("9:cpu,cpuacct:/\n4:memory:/docker/1\n0::/\n", "memory/docker/1/memory.oom_control", V1),
        ("4:cpu,memory:/x\n", "memory/x/memory.oom_control", V1),
        ("1:name=systemd:/\n0::/u\n", "unified/u/memory.events", EVENTS),
        ("0::/with:colon\n", "with:colon/memory.events", EVENTS),
    ],
    ids=["v2", "v2 root", "v1", "v1 joint", "hybrid", "colon"],
)


@LAYOUTS
def test_each_kill_is_told_once(tree, tmp_path, cgroup, file, text):
    """
    Those before us do not count; two at once are two.
    """
    kills = tree(cgroup, {file: text.format(7)})
    assert not kills.happened()

    (tmp_path / "sys" / file).write_text(text.format(9))

    assert [True, True, False] == [kills.happened() for _ in range(3)]


@pytest.mark.parametrize(
    ("cgroup", "files"),
    [
        ("", {}),
        ("0::/gone\n", {}),
        ("4:memory:/x\n0::/x\n", {}),
        ("0::/\n", {"memory.events": "nonsense\n"}),
        ("0::/\n", {"memory.events": "oom_kill many\n"}),
    ],
)
def test_without_a_counter_nothing_has_happened(tree, cgroup, files):
    """
    Never an error: the cause of a death is then a crash.
    """
    kills = tree(cgroup, files)

    assert not kills.happened()


def test_without_proc_nothing_has_happened(tmp_path):
    """
    As in a system that has none.
    """
    assert not OutOfMemoryKills(tmp_path / "proc", tmp_path / "sys").happened()


def test_a_counter_that_goes_away_is_no_kill(tree, tmp_path):
    """
    The cgroup may be removed under us.
    """
    kills = tree("0::/\n", {"memory.events": EVENTS.format(3)})

    (tmp_path / "sys" / "memory.events").unlink()

    assert not kills.happened()


def test_the_kernel_tells_what_a_process_does():
    """
    At least its state; of a process that is gone nothing.
    """
    assert "R" == kernel_state(os.getpid())["state"]
    assert {} == kernel_state(4_194_305)


def test_the_threads_of_this_process_are_counted():
    """
    At least the one that asks.
    """
    assert thread_count() >= 1
