"""Taking a command line apart: what is a value, what is a word, what is a mistake."""

import pytest

from prefork.cli.server import server_parser


def taken(*argv, most_words=1):
    line = server_parser("serve", "", "").parse(argv, most_words)
    return [(kept.dest, kept.value) for kept in line.kept], line.words, line.problems


@pytest.mark.parametrize(
    "argv",
    [
        ["app:handle", "-w", "4", "--factory"],
        ["-w", "4", "app:handle", "--factory"],
        ["-w4", "--factory", "app:handle"],
        ["--workers=4", "--factory", "--", "app:handle"],
    ],
)
def test_the_target_may_stand_anywhere(argv):
    """
    Before, between and after the flags.
    """
    assert taken(*argv) == ([("workers", "4"), ("factory", None)], ["app:handle"], [])


def test_an_empty_value_is_a_value():
    """
    Its setting decides whether it is possible.
    """
    assert taken("--user=") == ([("user", "")], [], [])


def test_a_negative_number_is_a_value():
    """
    Not a flag.
    """
    assert taken("--nice", "-5") == ([("nice", "-5")], [], [])


@pytest.mark.parametrize(
    ("argv", "words", "problems"),
    [
        (["--workers"], [], ["--workers needs a value, as in --workers N|MIN..MAX"]),
        (["--bind", "--workers", "2"], [], ["--bind needs a value, as in --bind ADDRESS"]),
        (["a", "b", "c"], ["a"], ["the argument 'b' is one too many",
                                  "the argument 'c' is one too many"]),
        (["--factory=yes", "a"], ["a"],
         ["--factory takes no value, but '--factory=yes' has one"]),
        (["--wrokers", "5", "a"], ["a"], ["there is no flag --wrokers; did you mean --workers?"]),
        (["a", "--wrokers", "5"], ["a"], ["there is no flag --wrokers; did you mean --workers?"]),
        (["--wrokers=5", "a"], ["a"], ["there is no flag --wrokers; did you mean --workers?"]),
        (["--wrokers", "5"], [], ["there is no flag --wrokers; did you mean --workers?"]),
        (["--zzz", "5", "a"], ["a"], ["there is no flag --zzz"]),
        (["--zzz", "a"], ["a"], ["there is no flag --zzz"]),
        (["--work", "5", "a"], ["a"], ["there is no flag --work; did you mean --workers?"]),
        (["-x", "a"], ["a"], ["there is no flag -x"]),
    ],
)  # fmt: skip
def test_each_mistake_is_one_sentence(argv, words, problems):
    """
    A possible value of an unknown flag is no further mistake, nor the target if there is one.
    """
    _, found_words, found = taken(*argv)

    assert (words, problems) == (found_words, found)


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["-k", "gevent", "a"], "--kind"),
        (["-kgevent", "a"], "--kind"),
        (["--worker-class=gevent", "a"], "--kind"),
        (["--preload", "a"], "--start fork"),
        (["-D", "a"], "foreground"),
        (["--max-requests", "5", "a"], "not offered"),
        (["--reload", "a"], "not offered"),
        (["--certfile", "x.pem", "a"], "not offered"),
        (["--app-dir", "x", "a"], "--chdir"),
    ],
)
def test_a_flag_of_another_server_gets_a_hint(argv, word):
    """
    It names prefork's flag, or why none is needed, or that there is none; its value is no mistake.
    """
    _, words, [problem] = taken(*argv)

    assert words == ["a"]
    assert word in problem
