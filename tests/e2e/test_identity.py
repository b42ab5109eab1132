"""Who the workers are, where they are, and what they find around them."""

import json
import os
import pwd
import sys
import tempfile
from pathlib import Path

import pytest

from rig.processes import open_to_others
from rig.systems import each_accept, each_method

pytestmark = pytest.mark.slow


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the user")

TELL = """
import grp, json, os, resource, sys

def handle(connection, address):
    mask = os.umask(0)
    os.umask(mask)
    connection.sendall(json.dumps({
        "uid": os.getresuid(), "gid": os.getresgid(), "groups": os.getgroups(),
        "umask": mask, "cwd": os.getcwd(), "nice": os.nice(0), "env": dict(os.environ),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0], "path": sys.path,
    }).encode())
"""


def told(server):
    return json.loads(server.ask())


@pytest.fixture
def hall():
    """
    A directory that everybody may enter, with the module ``app``; pytest's own are closed.
    """
    with tempfile.TemporaryDirectory(prefix="prefork-test-") as name:
        hall = Path(name)
        hall.chmod(0o755)
        (hall / "app.py").write_text(TELL)
        yield hall


@each_method
def test_umask_env_chdir_and_nice_are_the_workers(serve, tmp_path, start_method):
    """
    Each holds in the worker, however it was started; the arbiter keeps its own.
    """
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "inside.py").write_text(TELL)
    options = [
        *("--umask", "027", "--nice", "3", "--chdir", "inner"),
        *("--env", "COLOUR=blue", "--env", "EQUATION=a=b", "--start", start_method),
    ]
    before = os.nice(0)
    server = serve("-w", "1", *options, target="inside").ready(1)

    found = told(server)

    assert 0o027 == found["umask"]
    assert str(inner) == found["cwd"]
    assert str(inner) in found["path"]
    assert before + 3 == found["nice"]
    assert ("blue", "a=b") == (found["env"]["COLOUR"], found["env"]["EQUATION"])
    assert before == os.getpriority(os.PRIO_PROCESS, server.pid)


@each_method
def test_the_open_files_a_worker_may_have_are_the_users(serve, start_method):
    """
    The arbiter raises its own limit; a worker gets the one that was set.
    """
    limited = ["sh", "-c", 'ulimit -S -n 300; exec "$@"', "-"]
    server = serve("-w", "1", "--start", start_method, source=TELL, prefix=limited).ready(1)

    assert 300 == told(server)["files"]


def test_a_low_limit_of_open_files_is_enough_to_start(serve):
    """
    It is low for the workers; what the server itself needs to open is not limited by it.
    """
    limited = ["sh", "-c", 'ulimit -S -n 16; exec "$@"', "-"]
    server = serve("-w", "1", source=TELL, prefix=limited).ready(1)

    assert 16 == told(server)["files"]


@each_method
def test_nothing_of_the_service_manager_reaches_a_worker(serve, start_method):
    """
    LISTEN_*, NOTIFY_SOCKET and the watchdog's variables are for the arbiter.
    """
    env = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "60000000", "LISTEN_FDS": "0"}
    server = serve("-w", "1", "--start", start_method, source=TELL, env=env).ready(1)

    names = told(server)["env"]

    assert [] == [name for name in names if name.startswith(("LISTEN_", "NOTIFY_", "WATCHDOG_"))]


@pytest.mark.versions
@needs_root
@each_method
def test_workers_give_up_root(start, hall, start_method):
    """
    ``--user nobody``: user, its group and its groups; there is no way back.
    """
    entry = pwd.getpwnam("nobody")
    options = ["--user", "nobody", "--start", start_method]
    if start_method == "spawn" and not open_to_others(sys.executable):
        pytest.skip("this interpreter is not open to others")
    server = start("serve", "app", "-w", "1", *options, directory=hall).ready(1)

    found = told(server)

    assert [entry.pw_uid] * 3 == found["uid"]
    assert [entry.pw_gid] * 3 == found["gid"]
    assert [entry.pw_gid] == found["groups"]
    assert ("nobody", entry.pw_dir) == (found["env"]["USER"], found["env"]["HOME"])


@needs_root
def test_a_group_alone_keeps_the_user(serve):
    """
    ``--group`` by number; root's other groups go with the change.
    """
    server = serve("-w", "1", "--group", "12345", source=TELL).ready(1)

    found = told(server)

    assert ([0] * 3, [12345] * 3) == (found["uid"], found["gid"])


@needs_root
@each_accept
def test_the_pool_works_with_workers_that_have_given_up_root(start, hall, accept):
    """
    A port of root's, counting, draining, dumps and reopening: nothing needs root in a worker.
    """
    options = ["-w", "2", "--user", "nobody", "--accept", accept]
    server = start("serve", "app", *options, directory=hall).ready(2)

    assert told(server)
    assert 1 == server.status()["totals"]["accepted"]
    assert "accept" in server.result("dump", "0")["workers"][0]["stacks"]
    server.result("scale", "1")
    server.ready(1)
    assert {"exit 0"} == {event["status"] for event in server.all("worker exited")}
    assert 0 == server.stop()


@needs_root
def test_workers_without_root_notice_the_arbiters_death(start, hall):
    """
    A change of user clears the parent-death signal; it has to be set after it.
    """
    server = start("serve", "app", "-w", "2", "--user", "nobody", directory=hall).ready(2)
    server.process.kill()
    server.wait()

    server.all_gone()


@pytest.mark.windows
def test_the_pid_is_in_the_pidfile_while_the_server_lives(serve, tmp_path):
    """
    And the file is gone afterwards.
    """
    path = tmp_path / "server.pid"
    server = serve("-w", "1", "--pidfile", str(path)).ready(1)

    assert f"{server.pid}\n" == path.read_text()
    server.stop()
    assert not path.exists()


@pytest.mark.windows
def test_a_dead_servers_pidfile_is_taken_over(serve, tmp_path):
    """
    What names nobody, or is nonsense, is overwritten.
    """
    path = tmp_path / "server.pid"
    for text in ("4194305\n", "nonsense", ""):
        path.write_text(text)
        server = serve("-w", "1", "--pidfile", str(path)).ready(1)
        assert f"{server.pid}\n" == path.read_text()
        server.stop()


@pytest.mark.windows
def test_a_living_servers_pidfile_is_not_taken(serve, tmp_path):
    """
    Exit 2, with the other's pid; its file stays.
    """
    path = tmp_path / "server.pid"
    first = serve("-w", "1", "--pidfile", str(path)).ready(1)
    second = serve("-w", "1", "--pidfile", str(path))

    assert 2 == second.wait()
    second.log.refresh()
    assert str(first.pid) in second.log.others[0]
    assert f"{first.pid}\n" == path.read_text()


def test_a_pidfile_that_cannot_be_written_is_exit_2(serve):
    """
    A sentence with the path and the reason.
    """
    server = serve("-w", "1", "--pidfile", "/no/such/directory/pid")

    assert 2 == server.wait()
    server.log.refresh()
    assert "pidfile /no/such/directory/pid cannot be written" in server.log.others[0]


@pytest.mark.windows
def test_the_name_is_the_modules_unless_another_is_given(write, host, tmp_path, runtime):
    """
    ``path/to/shop.py:handle`` is the server ``shop``.
    """
    write("def handle(connection, address): ...\n", "sub/shop.py")
    env = host.environment(runtime)

    done = host.operate(env, "check", "sub/shop.py:handle", "--json", cwd=tmp_path)

    assert "shop" == json.loads(done.stdout)["settings"]["name"]["value"]
