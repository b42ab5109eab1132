"""CPUs in a tree of files that looks like /proc and /sys."""

import os

import pytest

from prefork.settings.cpus import available_cpus, limited_by_quota


def tree(root, files):
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.mark.parametrize(
    ("quota", "cpus"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("1600000 100000", 8),
        ("garbage", 8),
        ("", 8),
        ("100000 0", 8),
    ],
)
def test_a_quota_of_the_unified_hierarchy_limits(tmp_path, quota, cpus):
    """
    A part of a CPU counts as one; a quota above the number of CPUs has no effect.
    """
    root = tree(
        tmp_path, {"proc/self/cgroup": "0::/app\n", "sys/fs/cgroup/app/cpu.max": f"{quota}\n"}
    )

    assert cpus == limited_by_quota(8, root)


def test_a_quota_of_a_parent_limits(tmp_path):
    """
    The lowest one up to the root counts: systemd limits slices, Kubernetes pods.
    """
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/slice/app.service\n",
            "sys/fs/cgroup/slice/app.service/cpu.max": "max 100000\n",
            "sys/fs/cgroup/slice/cpu.max": "300000 100000\n",
            "sys/fs/cgroup/cpu.max": "600000 100000\n",
        },
    )

    assert limited_by_quota(8, root) == 3


def test_in_a_container_the_mount_itself_counts(tmp_path):
    """
    The path may be the host's, which is not visible here, or lead out of the namespace.
    """
    root = tree(
        tmp_path,
        {"proc/self/cgroup": "0::/../../docker/abc\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"},
    )

    assert limited_by_quota(8, root) == 2


@pytest.mark.parametrize(("quota", "cpus"), [("-1", 8), ("250000", 3)])
@pytest.mark.parametrize("mount", ["cpu,cpuacct", "cpu"])
def test_a_quota_of_the_legacy_hierarchy_limits(tmp_path, mount, quota, cpus):
    """
    Found under the controllers' joint name or under cpu alone; -1 is none.
    """
    directory = f"sys/fs/cgroup/{mount}/app"
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "5:memory:/app\n4:cpu,cpuacct:/app\n1:name=systemd:/app\n",
            f"{directory}/cpu.cfs_quota_us": f"{quota}\n",
            f"{directory}/cpu.cfs_period_us": "100000\n",
        },
    )

    assert cpus == limited_by_quota(8, root)


def test_without_cgroups_nothing_limits(tmp_path):
    """
    No file, no limit.
    """
    assert limited_by_quota(8, tmp_path) == 8


def test_affinity_limits():
    """
    At least one CPU, and no more than this process may run on.
    """
    assert 1 <= available_cpus() <= len(os.sched_getaffinity(0))
