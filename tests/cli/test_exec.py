"""``prefork exec``: what is refused before anything is bound, each as a sentence."""

import os
import subprocess
import sys

import pytest


@pytest.fixture
def refused(elsewhere):
    """Run ``prefork exec`` with arguments that it refuses; return exit code and sentences."""

    def run(*argv, **environ):
        done = subprocess.run(
            [sys.executable, "-m", "prefork", "exec", *argv],
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert b"" == done.stdout
        sentences = done.stderr.decode("utf-8", "backslashreplace").splitlines()
        return done.returncode, [line.removeprefix("prefork: ") for line in sentences]

    return run


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "the program and its arguments come after --"),
        (["-w", "2", "--"], "the program and its arguments come after --"),
        (["./server", "{fd}"], "the program and its arguments come after --"),
        (["--", ""], "the name of the program is empty"),
        (["--", "cat", b"\xff"], "is not valid UTF-8"),
        (["--", "cat", "{fd:1}"], "names an address by {fd:1}, but there is only one address"),
        (["-b", ":0", "-b", ":1", "--", "cat", "a{fd:9}b"], "but there are only 2"),
        (["-b", "unix:x", "--", "cat", "{port}"], "names a port, but no address has one"),
        (["--kind", "stream", "--", "cat"], "there is no flag --kind"),
        (["--start", "fork", "--", "cat"], "there is no flag --start"),
        (["--threads", "2", "--", "cat"], "there is no flag --threads"),
        (["--stop-signal", "NONE", "--", "cat"], "it must be the name of a signal"),
        (["--ready-after", "soon", "--", "cat"], "ready-after cannot be 'soon'"),
    ],
)
def test_a_mistake_is_a_sentence(refused, argv, sentence):
    """
    Exit code 2, and the sentence names what is wrong.
    """
    code, sentences = refused(*argv)

    assert 2 == code
    assert any(sentence in line for line in sentences), sentences


def test_all_mistakes_are_reported_at_once(refused):
    """
    Those in the options, and those in the program's arguments.
    """
    code, sentences = refused("-w", "none", "--nonsense", "--", "")

    assert (2, 3) == (code, len(sentences))


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--", "no-such-program"], "no-such-program cannot be run: it is in no directory of PATH"),
        (["--", "./nothing"], "./nothing cannot be run: there is no file"),
        (["--", "./plain"], "./plain cannot be run: it is not executable"),
        (["--", "./below"], "./below cannot be run: it is a directory"),
        (["--env", "PATH=/", "--", "cat"], "cat cannot be run: it is in no directory of PATH"),
        (["--chdir", "below", "--", "./tool"], "./tool cannot be run: there is no file"),
    ],
)
def test_a_program_that_cannot_be_found_is_reported_before_anything_is_bound(
    refused, elsewhere, argv, sentence
):
    """
    Exit code 4; the directory and the PATH that the program would have count.
    """
    (elsewhere / "plain").touch()
    (elsewhere / "tool").touch(mode=0o755)
    (elsewhere / "below").mkdir()

    code, sentences = refused(*argv)

    assert 4 == code
    assert [True] == [f"the program {sentence}" in line for line in sentences], sentences


@pytest.mark.parametrize("flag", ["--ready-after", "--stop-signal"])
@pytest.mark.parametrize("command", ["serve", "check", "echo"])
def test_settings_of_programs_are_offered_by_exec_only(elsewhere, command, flag):
    """
    The other commands do not know the flag, and exec shows it in its help.
    """
    argv = [sys.executable, "-m", "prefork"]
    shown = subprocess.run([*argv, command, "--help"], capture_output=True, text=True, check=True)
    known = subprocess.run([*argv, "exec", "--help"], capture_output=True, text=True, check=True)

    assert flag not in shown.stdout
    assert flag in known.stdout


def test_settings_of_serve_in_a_file_are_ignored(elsewhere, refused):
    """
    Those that only Python handlers have; the others count.
    """
    (elsewhere / "prefork.toml").write_text('kind = "stream"\nthreads = 4\naccept = "mutex"\n')

    code, sentences = refused("--", "./nothing")

    assert (4, 1) == (code, len(sentences))
