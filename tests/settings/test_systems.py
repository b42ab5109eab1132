"""The same settings on another operating system: what is refused there, and what else is read."""

import dataclasses
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as some

from prefork.errors import SettingsError
from prefork.kinds.targets.text import is_path, parted, pure_path
from prefork.settings import OPTIONS
from prefork.settings.platforms import is_offered
from prefork.settings.resolve import resolve
from prefork.settings.sentences import COMMAND
from prefork.settings.sources import Given, Surroundings
from prefork.sockets.addresses import parse_address

LINUX = Surroundings(
    environ={},
    directory=Path("/nonexistent"),
    pid=42,
    cpus=2,
    terminal=True,
    check_address=parse_address,
    platform="linux",
)
WINDOWS = dataclasses.replace(LINUX, platform="win32", uid=1000)


def resolved(around, **flags):
    layer = {
        name.replace("_", "-"): Given((text,) if isinstance(text, str) else text, f"flag --{name}")
        for name, text in {"target": "app:handle", **flags}.items()
    }
    return resolve(layer, around)


def problems_of(around, **flags):
    with pytest.raises(SettingsError) as raised:
        resolved(around, **flags)
    return list(raised.value.problems)


@pytest.mark.parametrize(
    ("flags", "right"),
    [
        ({"user": "www"}, "with the account of prefork"),
        ({"user": "1000"}, "with the account of prefork"),
        ({"group": "www"}, "with the account of prefork"),
        ({"umask": "022"}, "inherits the permissions of its directory"),
        ({"nice": "5"}, "start /belownormal"),
        ({"start": "fork"}, "auto and spawn are possible"),
        ({"accept": "blocking"}, "auto and mutex are possible"),
        ({"accept": "exclusive"}, "auto and mutex are possible"),
        ({"accept_mutex": "flock"}, "set accept-mutex-name"),
        ({"accept_mutex": "fcntl"}, "set accept-mutex-name"),
        ({"bind": "unix:/run/app.sock"}, "use tcp:// or udp://"),
        ({"bind": "unixgram:@app"}, "use tcp:// or udp://"),
        ({"control": "unix:c.sock"}, "tcp://127.0.0.1:PORT"),
        ({"control": "unix:@c"}, "tcp://127.0.0.1:PORT"),
        ({"control": "tcp://0.0.0.0:99"}, "tcp://127.0.0.1:PORT"),
        ({"control": "tcp://127.0.0.1:65536"}, "ports go from 0 to 65535"),
        ({"loop": "uvloop"}, "auto, asyncio, proactor and selector"),
        ({"stop_signal": "TERM"}, "by Ctrl-Break"),
        ({"ready_after": "0"}, "cannot send READY=1"),
        ({"workers": "401"}, "at most 400"),
        ({"workers": "1..2048"}, "at most 400"),
        ({"loop": "selector", "concurrency": "501"}, "loop = proactor holds any number"),
    ],
)
def test_what_windows_does_not_have_is_refused_there(flags, right):
    """
    One sentence with setting, value, source, and the alternative.
    """
    name, text = list(flags.items())[-1]

    [problem] = problems_of(WINDOWS, **flags)

    assert problem.startswith(f"{name.replace('_', '-')} cannot be {text!r} (from flag --{name}): ")
    assert right in problem


@pytest.mark.parametrize(
    ("flags", "right"),
    [
        ({"accept_mutex_name": "sschild"}, "mutexes have names only on Windows"),
        ({"control": "tcp://127.0.0.1:99"}, "a unix: address"),
        ({"loop": "proactor"}, "auto, asyncio and uvloop are possible"),
        ({"loop": "selector"}, "auto, asyncio and uvloop are possible"),
    ],
)
def test_what_only_windows_has_is_refused_elsewhere(flags, right):
    """
    With a sentence of the same form.
    """
    [(name, text)] = flags.items()

    [problem] = problems_of(LINUX, **flags)

    assert problem.startswith(f"{name.replace('_', '-')} cannot be {text!r} (from flag --{name}): ")
    assert right in problem


def test_all_that_is_refused_is_reported_at_once():
    """
    With the other mistakes, each address separately.
    """
    problems = problems_of(
        WINDOWS,
        user="www",
        nice="3",
        bind=("unix:/a", ":1", "unix:/b"),
        workers="500",
        timeout="soon",
    )

    told = ["timeout", "user", "nice", "bind cannot be 'unix:/a'", "bind cannot be 'unix:/b'"]
    told.append("workers")
    assert len(told) == len(problems)
    for words in told:
        assert any(problem.startswith(words) for problem in problems), (words, problems)


@pytest.mark.parametrize(
    "flags",
    [
        {"accept": "mutex", "start": "spawn", "nice": "0"},
        {"accept_mutex_name": "sschild"},
        {"bind": ("127.0.0.1:80", "udp://:53", "fd://212")},
        {"control": "tcp://127.0.0.1:0"},
        {"control": "off"},
        {"loop": "proactor", "concurrency": "1000000"},
        {"loop": "selector", "concurrency": "500"},
        {"workers": "0..400"},
    ],
)
def test_what_windows_has_is_not_refused_there(flags):
    """
    Nor are the defaults, though some are values for other systems.
    """
    resolved(WINDOWS, **flags)


def test_a_setting_that_is_always_refused_is_not_offered():
    """
    ``prefork check`` does not show it.
    """
    absent = {
        platform: {o.name for o in OPTIONS if not is_offered(o.name, platform)}
        for platform in ("linux", "win32")
    }

    assert {"accept-mutex-name"} == absent["linux"]
    assert {"user", "group", "umask", "accept-mutex", "stop-signal"} == absent["win32"]


def test_a_path_is_shown_as_it_was_given():
    """
    Without doubled backslashes.
    """
    [problem] = problems_of(WINDOWS, chdir=r"C:\no\such")

    assert r"chdir cannot be 'C:\no\such' (from" in problem


def test_what_a_command_fixes_is_not_refused():
    """
    No user has set it.
    """
    layer = {
        "target": Given(("program",), COMMAND),
        "accept-mutex": Given(("flock",), COMMAND),
        "accept-mutex-name": Given(("sschild",), "flag --accept-mutex-name"),
    }

    assert "sschild" == resolve(layer, WINDOWS).settings.accept_mutex_name


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("sschild", True),
        ("Local\\sschild", True),
        ("Global\\my server/1", True),
        ("x" * 260, True),
        ("", False),
        ("x" * 261, False),
        ("Global\\" + "x" * 254, False),
        ("Global\\", False),
        ("Session\\sschild", False),
        ("global\\sschild", False),
        ("Local\\a\\b", False),
    ],
)
def test_a_mutex_name_is_one_that_windows_accepts(name, fits):
    """
    A backslash only separates the two name spaces from the name.
    """
    if fits:
        assert name == resolved(WINDOWS, accept_mutex_name=name).settings.accept_mutex_name
    else:
        [problem] = problems_of(WINDOWS, accept_mutex_name=name)
        assert "Local\\ or Global\\ in front" in problem


@pytest.mark.parametrize(
    ("cpus", "maximum", "loops"), [(2, 8, 2), (200, 400, 200), (999, 400, 400)]
)
def test_auto_workers_stay_within_the_limit_of_windows(cpus, maximum, loops):
    """
    A machine with many CPUs is not a mistake.
    """
    settings = resolved(dataclasses.replace(WINDOWS, cpus=cpus)).settings

    assert (maximum, loops) == (settings.maximum, settings.loop_maximum)


def test_a_selector_loop_has_its_limit_as_the_default():
    """
    The default of other loops would be more.
    """
    assert 500 == resolved(WINDOWS, loop="selector").settings.concurrency
    assert 1000 == resolved(WINDOWS, loop="proactor").settings.concurrency


def test_a_backslash_in_a_variable_is_an_ordinary_character_on_windows():
    """
    It separates the names in a path there; quotes still group words.
    """
    variables = {"PREFORK_ENV": r"DATA=C:\data\new 'LOGS=D:\my logs'"}

    there = resolved(dataclasses.replace(WINDOWS, environ=variables)).settings.env
    elsewhere = resolved(dataclasses.replace(LINUX, environ=variables)).settings.env

    assert (r"DATA=C:\data\new", r"LOGS=D:\my logs") == there
    assert ("DATA=C:datanew", r"LOGS=D:\my logs") == elsewhere


def test_no_sockets_are_passed_by_number_on_windows():
    """
    sd_listen_fds(3) counts descriptors, which sockets do not have there.
    """
    variables = {"LISTEN_PID": "42", "LISTEN_FDS": "2"}

    around = dataclasses.replace(WINDOWS, environ=variables)

    assert ("tcp://127.0.0.1:8000",) == resolved(around).settings.bind


@pytest.mark.parametrize(
    ("target", "place", "attribute", "name"),
    [
        (r"C:\app\app.py:handle", r"C:\app\app.py", "handle", "app"),
        (r"C:\app\my app.py", r"C:\app\my app.py", "", "my-app"),
        ("c:/app/app.py:make.handle", "c:/app/app.py", "make.handle", "app"),
        (r"dir\app.py", r"dir\app.py", "", "app"),
        (r".\dir\script:handle", r".\dir\script", "handle", "script"),
        ("APP.PY:handle", "APP.PY", "handle", "APP"),
        (r"\\server\share\app.py:handle", r"\\server\share\app.py", "handle", "app"),
        (r"\\?\C:\app\app.py:handle", r"\\?\C:\app\app.py", "handle", "app"),
        ("package.module:handle", "package.module", "handle", "module"),
        ("a:handle", "a", "handle", "a"),
        ("app", "app", "", "app"),
    ],
)
def test_a_target_on_windows_may_have_a_drive(target, place, attribute, name):
    """
    Its colon does not separate the attribute; a single letter is a module.
    """
    assert (place, attribute) == parted(target, "win32")
    assert name == resolved(WINDOWS, target=target).settings.name


@pytest.mark.parametrize(
    ("place", "there", "elsewhere"),
    [
        ("app.py", True, True),
        ("dir/script", True, True),
        (r"dir\script", True, False),
        ("APP.PY", True, False),
        ("package.module", False, False),
    ],
)
def test_a_path_is_distinguished_from_a_module(place, there, elsewhere):
    """
    By the rules of each platform.
    """
    assert (there, elsewhere) == (is_path(place, "win32"), is_path(place, "linux"))


@given(some.text(some.sampled_from(r"aB:\/.?"), max_size=12), some.sampled_from(["win32", "linux"]))
def test_a_target_is_its_place_and_its_attribute(target, platform):
    """
    Nothing of it is lost, and only a drive has a colon.
    """
    place, attribute = parted(target, platform)

    assert target in (f"{place}:{attribute}", place)
    assert ":" not in place or platform == "win32"


def test_paths_are_those_of_the_given_platform():
    """
    Not those of the system that runs the test.
    """
    assert PureWindowsPath(r"a\b") == pure_path(r"a\b", "win32")
    assert PurePosixPath(r"a\b") == pure_path(r"a\b", "linux")
