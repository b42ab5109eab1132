"""Where a server listens."""

import os
import socket
import stat

import pytest

from rig.clients import ask, connect
from rig.processes import open_files
from rig.systems import each_method

pytestmark = pytest.mark.slow


@pytest.mark.windows
def test_port_0_is_any_free_one(serve):
    """
    Log and status tell which; two servers get two.
    """
    servers = [serve("-w", "1", "--bind", "127.0.0.1:0").ready(1) for _ in range(2)]

    addresses = [server.address for server in servers]

    assert 2 == len(set(addresses))
    for server in servers:
        assert server.address == server.wait_for("listening")["address"]
        assert not server.address.endswith(":0")
        assert server.ask(b"x").endswith(b"x")


@pytest.mark.windows
def test_tcp_over_ipv6(serve):
    """
    ``[::1]:PORT``; the client's address is told in brackets.
    """
    server = serve("-w", "1", "--bind", "[::1]:0").ready(1)

    assert server.address.startswith("tcp://[::1]:")
    with server.connect() as client:
        assert client.recv(1)
        assert server.status()["workers"][0]["peer"].startswith("[::1]:")


@pytest.mark.windows
def test_both_families_side_by_side_on_one_port(serve):
    """
    ``0.0.0.0`` and ``[::]`` do not take the port from one another.
    """
    first = serve("-w", "1", "--bind", "0.0.0.0:0").ready(1)
    port = first.address.rpartition(":")[2]
    second = serve("-w", "1", "--bind", f"[::]:{port}").ready(1)

    assert first.pids() == {int(ask(f"tcp://127.0.0.1:{port}"))}
    assert second.pids() == {int(ask(f"tcp://[::1]:{port}"))}


@pytest.mark.parametrize(
    ("accept", "start_method"), [("auto", "fork"), ("exclusive", "spawn"), ("mutex", "fork")]
)
def test_a_unix_socket_in_the_file_system(serve, runtime, start_method, accept):
    """
    ``unix:PATH``: made with the umask's permissions, removed at the end.
    """
    path = runtime / "s.sock"
    options = ["--bind", f"unix:{path}", "--start", start_method, "--accept", accept]
    server = serve("-w", "2", *options).ready(2)

    assert stat.S_ISSOCK(path.stat().st_mode)
    assert f"unix:{path}" == server.address
    assert server.ask(b"x").endswith(b"x")
    assert 0 == server.stop()
    assert not path.exists()


@each_method
def test_an_abstract_unix_socket(serve, runtime, start_method):
    """
    ``unix:@NAME`` leaves nothing in the file system.
    """
    address = f"unix:@{runtime.name}"
    server = serve("-w", "2", "--bind", address, "--start", start_method).ready(2)

    assert address == server.address
    assert server.ask(b"x").endswith(b"x")
    assert 0 == server.stop()
    with pytest.raises(ConnectionRefusedError):
        connect(address)


def test_a_stale_path_is_taken_over(serve, runtime):
    """
    A socket that nobody listens on is a dead server's.
    """
    path = runtime / "s.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    server = serve("-w", "1", "--bind", f"unix:{path}").ready(1)

    assert server.ask(b"x").endswith(b"x")


def test_a_living_servers_path_is_not_taken(serve, runtime):
    """
    Exit 5, and the first server serves on.
    """
    path = runtime / "s.sock"
    first = serve("-w", "1", "--bind", f"unix:{path}").ready(1)
    second = serve("-w", "1", "--bind", f"unix:{path}")

    assert 5 == second.wait()
    second.log.refresh()
    assert f"cannot listen on unix:{path}: the address is in use" in second.log.others[0]
    assert first.ask(b"x").endswith(b"x")
    assert path.exists()


def test_a_file_that_is_no_socket_is_left_alone(serve, runtime):
    """
    Exit 5; what is there stays as it was.
    """
    path = runtime / "precious"
    path.write_text("data")
    server = serve("-w", "1", "--bind", f"unix:{path}")

    assert 5 == server.wait()
    assert "data" == path.read_text()


def test_a_successors_socket_is_not_removed(serve, runtime):
    """
    Who ends removes only its own socket, not the one a successor has put there.
    """
    path = runtime / "s.sock"
    first = serve("-w", "1", "--bind", f"unix:{path}").ready(1)
    path.unlink()
    second = serve("-w", "1", "--bind", f"unix:{path}").ready(1)

    assert 0 == first.stop()

    assert path.exists()
    assert second.ask(b"x").endswith(b"x")


@pytest.mark.windows
def test_an_address_in_use_is_exit_5(serve):
    """
    With a sentence that names it.
    """
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = "tcp://{}:{}".format(*other.getsockname())
        server = serve("-w", "1", "--bind", address)

        assert 5 == server.wait()

    server.log.refresh()
    assert [
        f"prefork: cannot listen on {address}: "
        "the address is in use; is another server running there?"
    ] == server.log.others


def test_one_bad_address_of_several_is_exit_5_and_leaves_nothing(serve, runtime):
    """
    All or none: the Unix socket that had been bound is gone again.
    """
    path = runtime / "s.sock"
    server = serve("--bind", f"unix:{path}", "--bind", "unix:/no/such/directory/s")

    assert 5 == server.wait()
    assert not path.exists()


@each_method
def test_several_addresses_at_once(serve, runtime, start_method):
    """
    TCP 4, TCP 6, Unix and abstract: each is answered.
    """
    binds = ["127.0.0.1:0", "[::1]:0", f"unix:{runtime / 's'}", f"unix:@{runtime.name}"]
    options = [word for bind in binds for word in ("--bind", bind)]
    server = serve("-w", "2", "--start", start_method, *options).ready(2)

    assert "exclusive" == server.status()["accept"]
    assert 4 == len(server.addresses)
    for address in server.addresses:
        assert ask(address, b"x").endswith(b"x")
    assert 4 == len(server.all("listening"))


def test_blocking_on_several_addresses_is_refused(serve):
    """
    Exit 2: a worker can block in only one accept.
    """
    server = serve("--accept", "blocking", "--bind", "127.0.0.1:0", "--bind", "[::1]:0")

    assert 2 == server.wait()


@pytest.mark.windows
@each_method
def test_a_spawned_worker_has_the_listeners_number_on_its_command_line(serve, start_method):
    """
    The descriptor is an argument; a forked one simply has it.
    """
    source = """
        import sys

        def handle(connection, address):
            connection.sendall("\\n".join(sys.orig_argv).encode())
    """
    server = serve("-w", "1", "--start", start_method, source=source).ready(1)

    arguments = server.ask().decode().splitlines()

    if start_method == "spawn":
        assert int(arguments[arguments.index("--listener") + 1]) > 2
    else:
        assert "prefork.worker.mold" in arguments


@each_method
def test_arbiter_and_worker_share_one_socket(serve, start_method):
    """
    The listener, and nothing else.
    """
    server = serve("-w", "1", "--start", start_method).ready(1)

    shared = open_files(server.pid) & open_files(server.workers()[0])

    assert 1 == sum(file.startswith("socket:") for file in shared)


@pytest.mark.parametrize(("family", "start_method"), [("tcp", "spawn"), ("unix", "fork")])
def test_an_open_descriptor_is_adopted(serve, runtime, family, start_method):
    """
    ``fd://N``: served, left open for its owner, and its path not removed.
    """
    path = runtime / "given"
    kind = socket.AF_INET if family == "tcp" else socket.AF_UNIX
    with socket.socket(kind) as given:
        given.bind(("127.0.0.1", 0) if family == "tcp" else str(path))
        given.listen()
        options = ["--bind", f"fd://{given.fileno()}", "--start", start_method]
        server = serve("-w", "2", *options, pass_fds=[given.fileno()]).ready(2)
        if family == "tcp":
            assert "tcp://{}:{}".format(*given.getsockname()) == server.address
        else:
            assert f"unix:{path}" == server.address
        assert server.ask(b"x").endswith(b"x")

        assert 0 == server.stop()

        assert family == "tcp" or path.exists()
        with connect(server_address(given)):
            pass  # its owner still listens


def server_address(sock):
    name = sock.getsockname()
    return f"unix:{name}" if isinstance(name, str) else f"tcp://{name[0]}:{name[1]}"


def test_an_adopted_socket_keeps_its_queue_for_the_next_server(serve):
    """
    A handover without a gap: who connects in between is served by the successor.
    """
    with socket.socket() as given:
        given.bind(("127.0.0.1", 0))
        given.listen()
        options = ["-w", "1", "--bind", f"fd://{given.fileno()}"]
        first = serve(*options, pass_fds=[given.fileno()]).ready(1)
        assert first.ask(b"x").endswith(b"x")
        assert 0 == first.stop()

        with connect(server_address(given)) as early:
            early.sendall(b"early")
            second = serve(*options, pass_fds=[given.fileno()]).ready(1)
            early.shutdown(socket.SHUT_WR)
            parts = b"".join(iter(lambda: early.recv(100), b""))

    assert parts == b"%d\nearly" % second.workers()[0]


@pytest.mark.parametrize("what", ["nothing", "file", "not listening"])
def test_a_descriptor_that_cannot_be_served_is_exit_5(serve, tmp_path, what):
    """
    Nothing there, no socket, or a socket that does not listen.
    """
    file = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)
    with socket.socket() as deaf:
        fd = {"nothing": 99, "file": file, "not listening": deaf.fileno()}[what]
        kept = [] if what == "nothing" else [fd]
        server = serve("--bind", f"fd://{fd}", pass_fds=kept)

        assert 5 == server.wait()
    os.close(file)


@pytest.mark.windows
def test_the_default_address_gives_way_to_PORT(write, host, runtime, tmp_path):  # noqa: N802
    """
    ``PORT`` is what platforms say; check shows it as the source.
    """
    write("def handle(connection, address): ...\n")
    env = host.environment(runtime, PORT="1234")

    shown = host.operate(env, "check", "app", cwd=tmp_path).stdout

    [line] = [line for line in shown.splitlines() if line.startswith("bind ")]
    assert ":1234" in line
    assert "PORT" in line
