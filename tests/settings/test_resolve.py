"""From sources to settings: precedence, what is found out at the start, all mistakes at once."""

import dataclasses
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from prefork.errors import SettingsError
from prefork.settings import OPTIONS, Settings
from prefork.settings.resolve import resolve
from prefork.settings.sources import Given, Surroundings
from prefork.sockets.addresses import parse_address

NOWHERE = Surroundings(
    environ={},
    directory=Path("/nonexistent"),
    pid=42,
    cpus=2,
    terminal=True,
    check_address=parse_address,
)


def resolved(around=NOWHERE, config=None, defaults=None, problems=(), **flags):
    layer = {
        name.replace("_", "-"): Given((text,) if isinstance(text, str) else text, f"flag --{name}")
        for name, text in {"target": "app:handle", **flags}.items()
    }
    return resolve(layer, around, config=config, defaults=defaults or {}, problems=problems)


def problems_of(*args, **kwargs):
    with pytest.raises(SettingsError) as raised:
        resolved(*args, **kwargs)
    return list(raised.value.problems)


def around(tmp_path=None, **environ):
    directory = NOWHERE.directory if tmp_path is None else tmp_path
    return dataclasses.replace(NOWHERE, environ=environ, directory=directory)


def test_without_any_source_the_defaults_hold():
    """
    And the source of each is "default".
    """
    result = resolved()

    assert result.settings == Settings(target="app:handle", maximum=8, loop_maximum=2, name="app")
    assert {"default"} == {s for name, s in result.sources.items() if name != "target"}


def test_every_setting_has_a_source():
    """
    `prefork check` shows them all.
    """
    assert {option.name for option in OPTIONS} == set(resolved().sources)


@given(
    some.fixed_dictionaries(
        {}, optional=dict.fromkeys(("flag", "environment", "file"), some.integers(1, 9))
    )
)
def test_flag_overrides_environment_overrides_file_overrides_default(tmp_path_factory, said):
    """
    For every combination of sources, the first in this order counts.
    """
    directory = tmp_path_factory.mktemp("order")
    if "file" in said:
        (directory / "prefork.toml").write_text(f"threads = {said['file']}\n")
    environ = {"PREFORK_THREADS": str(said["environment"])} if "environment" in said else {}
    flags = {"threads": str(said["flag"])} if "flag" in said else {}
    sources = {"flag": "flag --threads", "environment": "PREFORK_THREADS", "file": "prefork.toml"}
    first = next((name for name in sources if name in said), None)

    result = resolved(around(directory, **environ), **flags)

    assert said.get(first, 1) == result.settings.threads
    assert sources.get(first, "default") == result.sources["threads"]


@given(
    some.builds(
        Settings,
        target=some.just("a:b"),
        bind=some.lists(
            some.integers(1, 65535).map(lambda port: f"tcp://h:{port}"), min_size=2, unique=True
        ).map(tuple),
        minimum=some.integers(0, 8),
        maximum=some.integers(8, 99),
        timeout=some.floats(0, 1000).map(lambda number: round(number, 3)),
        umask=some.none() | some.integers(0, 0o777),
        env=some.lists(some.sampled_from(["A=1", "B='x y'", 'C="', "D="])).map(tuple),
        accept=some.sampled_from(["auto", "exclusive", "mutex"]),
        nice=some.integers(-20, 19),
    )
)
def test_settings_come_back_from_the_texts_they_show(settings):
    """
    What `prefork check` prints, put into the environment, is the same again.
    """
    environ = {option.variable: option.text(settings) for option in OPTIONS}

    assert settings == resolve({}, around(**environ)).settings


def test_settings_reach_the_arbiter_unchanged():
    """
    Encoded as JSON and decoded by type.
    """
    settings = resolved(bind=(":1", "unix:@x"), umask="022", env="A=1").settings

    assert settings == msgspec.json.decode(msgspec.json.encode(settings), type=Settings)


@pytest.mark.parametrize(
    ("cpus", "limits"), [(1, (1, 4)), (2, (1, 8)), (64, (1, 256))]
)  # fmt: skip
def test_auto_workers_follow_the_cpus(cpus, limits):
    """
    1..4×CPUs, and the source stays what it was.
    """
    result = resolved(dataclasses.replace(NOWHERE, cpus=cpus), workers="auto")

    assert limits == (result.settings.minimum, result.settings.maximum)
    assert result.sources["workers"] == "flag --workers"


@pytest.mark.parametrize(("terminal", "expected"), [(True, "text"), (False, "json")])
def test_the_log_format_follows_the_terminal(terminal, expected):
    """
    Unless it is set.
    """
    somewhere = dataclasses.replace(NOWHERE, terminal=terminal)

    assert expected == resolved(somewhere).settings.log_format
    assert resolved(somewhere, log_format="text").settings.log_format == "text"


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("app:handle", "app"),
        ("app", "app"),
        ("package.module:handle", "module"),
        ("path/to/file.py:handle", "file"),
        ("./my-file.v2.py", "my-file.v2"),
        ("/srv/my-script:handle", "my-script"),
        ("with space.py", "with-space"),
        (":", "prefork"),
        ("x" * 99, "x" * 64),
    ],
)
def test_the_name_is_the_targets(target, name):
    """
    The stem of its file, or the last part of its module.
    """
    assert name == resolved(target=target).settings.name


@pytest.mark.parametrize(
    ("environ", "bind", "source"),
    [
        ({"PORT": "80"}, ("tcp://0.0.0.0:80",), "PORT"),
        ({"PORT": "80", "PREFORK_BIND": ":1 :2"}, ("tcp://0.0.0.0:1", "tcp://0.0.0.0:2"),
         "PREFORK_BIND"),
        ({"PREFORK_BIND": "'unix:/a b'"}, ("unix:/a b",), "PREFORK_BIND"),
        ({"PREFORK_BIND": "", "PORT": " "}, ("tcp://127.0.0.1:8000",), "default"),
        ({"LISTEN_PID": "42", "LISTEN_FDS": "2"}, ("fd://3", "fd://4"), "LISTEN_FDS"),
        ({"LISTEN_PID": "42", "LISTEN_FDS": "1", "PORT": "80"}, ("fd://3",), "LISTEN_FDS"),
        ({"LISTEN_PID": "42", "LISTEN_FDS": "1", "PREFORK_BIND": ":1"},
         ("tcp://0.0.0.0:1", "fd://3"), "PREFORK_BIND, LISTEN_FDS"),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "2"}, ("tcp://127.0.0.1:8000",), "default"),
        ({"LISTEN_FDS": "2"}, ("tcp://127.0.0.1:8000",), "default"),
        ({"LISTEN_PID": "42", "LISTEN_FDS": "0"}, ("tcp://127.0.0.1:8000",), "default"),
    ],
)  # fmt: skip
def test_addresses_from_the_environment(environ, bind, source):
    """
    PREFORK_BIND overrides PORT; adopted sockets join addresses that are set and replace others.
    """
    result = resolved(around(**environ))

    assert (bind, source) == (result.settings.bind, result.sources["bind"])


def test_web_concurrency_is_the_number_of_workers():
    """
    As hosting platforms use it; prefork's own variable overrides it.
    """
    theirs = resolved(around(WEB_CONCURRENCY="3"))
    ours = resolved(around(WEB_CONCURRENCY="3", PREFORK_WORKERS="1..2"))

    assert (
        theirs.settings.minimum, theirs.settings.maximum, theirs.sources["workers"],
    ) == (3, 3, "WEB_CONCURRENCY")  # fmt: skip
    assert (ours.settings.minimum, ours.settings.maximum) == (1, 2)


def test_the_commands_own_defaults_override_the_declared_ones():
    """
    But no other source.
    """
    result = resolved(around(WEB_CONCURRENCY="2"), defaults={"workers": "5", "name": "echo"})

    assert (result.settings.name, result.settings.maximum) == ("echo", 2)
    assert result.sources["name"] == "default"


FIVE = {
    "workers": ("many", "N, MIN..MAX"),
    "bind": ("nowhere", "HOST:PORT"),
    "timeout": ("soon", "a time in seconds"),
    "accept": ("maybe", "auto, blocking, exclusive, mutex"),
    "umask": ("999", "octal"),
}


def test_all_mistakes_are_reported_at_once():
    """
    One sentence for each, with the setting, the value, its source and what is allowed.
    """
    problems = problems_of(**{name: text for name, (text, _) in FIVE.items()})

    assert len(FIVE) == len(problems)
    for name, (text, allowed) in FIVE.items():
        sentence = next(problem for problem in problems if problem.startswith(f"{name} "))
        assert f"{text!r} (from flag --{name})" in sentence
        assert allowed in sentence


def test_mistakes_of_all_sources_are_reported_together(tmp_path):
    """
    Those found before, then file, environment and flags.
    """
    (tmp_path / "prefork.toml").write_text("wrokers = 3\nthreads = 0\nmax-requests = 1\n")
    environ = around(tmp_path, PREFORK_NICE="x", PREFORK_BIND="'", WEB_CONCURRENCY="-1")

    problems = problems_of(environ, problems=["there is no flag --x"], backlog="0", target=())

    words = [
        "--x", "'wrokers'; did you mean workers?", "'max-requests'", "PREFORK_BIND",
        "'0' (from flag", "-1", "'0' (from prefork.toml)", "PREFORK_NICE", "TARGET",
    ]  # fmt: skip
    for word in words:
        assert any(word in problem for problem in problems), (word, problems)
    assert len(words) == len(problems)


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ({"accept": "blocking", "bind": (":1", ":2")}, "accept cannot be 'blocking'"),
        ({"bind": (":1", "tcp://0.0.0.0:1")}, "given 2 times"),
        ({"bind": ("udp://:1", "udp://0.0.0.0:1")}, "given 2 times"),
        ({"kind": "datagram", "bind": ":1"}, "serves udp:// and unixgram: addresses"),
        ({"kind": "stream", "bind": "udp://:1"}, "serves tcp:// and unix: addresses"),
        ({"kind": "asyncio", "bind": "unixgram:@a"}, "serves tcp:// and unix: addresses"),
        ({"kind": "protocol", "bind": (":1", "udp://:1")}, "serves tcp:// and unix: addresses"),
        ({"bind": ()}, "at least one address"),
        ({"restart_delay": "50"}, "restart-delay-max, which is 30 (default)"),
        ({"user": "no-such-user"}, "no such user"),
        ({"group": "no-such-group"}, "no such group"),
        ({"user": "-1"}, "no such user"),
        ({"user": "4294967295"}, "a number must be from 0 to 4294967294"),
        ({"group": "4294967295"}, "a number must be from 0 to 4294967294"),
        ({"user": "9" * 5000}, "a number must be from 0 to 4294967294"),
        ({"user": "²"}, "no such user"),
        ({"chdir": "/no/such/directory"}, "no such directory"),
        ({"control": "tcp://:1"}, "unix:PATH"),
        ({"control": "unix:" + "x" * 200}, "107 bytes"),
        ({"chdir": "/dev/null"}, "no such directory"),
        ({"chdir": "/" + "x" * 300}, "cannot be entered (File name too long)"),
        ({"target": "caf\udce9.py"}, "'caf\\udce9.py' is not valid UTF-8"),
        ({"bind": "unix:/tmp/\udce9"}, "not valid UTF-8"),
        ({"pidfile": "\udce9"}, "not valid UTF-8"),
        ({"env": "A=\udce9"}, "not valid UTF-8"),
        ({"name": "a/b"}, "letters"),
        ({"env": "novalue"}, "NAME=VALUE"),
        ({"target": ""}, "target cannot be ''"),
    ],
)
def test_what_contradicts_or_does_not_exist_is_a_mistake(flags, word):
    """
    Found before anything is bound.
    """
    [problem] = problems_of(**flags)

    assert word in problem


@pytest.mark.parametrize(
    "flags",
    [
        {"bind": (":0", ":0")},
        {"accept": "blocking"},
        {"threads": "4", "kind": "socketserver"},
        {"user": "0", "chdir": "/"},
        {"user": "12345", "group": "4294967294"},
        {"control": "unix:@x"},
    ],
)
def test_what_is_possible_is_not_refused(flags):
    """
    Port 0 twice is two ports; a number is a user even without a name.
    """
    resolved(**flags)


def test_only_root_can_change_the_user():
    """
    Reported before the workers would fail.
    """
    [problem] = problems_of(dataclasses.replace(NOWHERE, uid=1000), user="0")

    assert "only root" in problem


def test_an_invalid_listen_fds_is_a_mistake():
    """
    The sockets would be adopted by number.
    """
    [problem] = problems_of(around(LISTEN_PID="42", LISTEN_FDS="many"))

    assert "LISTEN_FDS" in problem


@pytest.mark.parametrize(
    ("flags", "control", "pidfile"),
    [
        ({"control": "unix:c.sock", "pidfile": "x/y.pid"}, "unix:/here/c.sock", "/here/x/y.pid"),
        ({"control": "unix:/c", "pidfile": "/p"}, "unix:/c", "/p"),
        ({"control": "unix:@c"}, "unix:@c", None),
        ({"control": "unix:c", "pidfile": "p", "chdir": "/"}, "unix:/here/c", "/here/p"),
        ({"control": "off"}, "off", None),
    ],
)
def test_operators_paths_are_relative_to_where_the_command_was_run(flags, control, pidfile):
    """
    Not to chdir: the operator looks for them there.
    """
    here = dataclasses.replace(NOWHERE, directory=Path("/here"))

    settings = resolved(here, **flags).settings

    assert (control, pidfile) == (settings.control, settings.pidfile)


REMOVED = dataclasses.replace(NOWHERE, directory=None)


def test_an_absolute_chdir_replaces_a_removed_directory(tmp_path):
    """
    Also for the settings file and for relative paths.
    """
    (tmp_path / "prefork.toml").write_text("threads = 3\n")
    environ = {"PREFORK_CHDIR": str(tmp_path)}

    by_flag = resolved(REMOVED, chdir=str(tmp_path), pidfile="p").settings
    by_variable = resolved(dataclasses.replace(REMOVED, environ=environ), control="unix:c").settings

    assert (3, f"{tmp_path}/p") == (by_flag.threads, by_flag.pidfile)
    assert f"unix:{tmp_path}/c" == by_variable.control


@pytest.mark.parametrize("chdir", [(), "relative", "/no/such/directory"])
def test_a_removed_current_directory_is_a_mistake(chdir):
    """
    Unless another one is set; mistakes found before are reported as well.
    """
    problems = problems_of(REMOVED, problems=["there is no flag --x"], chdir=chdir)

    assert "there is no flag --x" == problems[0]
    assert "the current directory does not exist any more" in problems[1]
