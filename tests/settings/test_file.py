"""The settings file: where it is looked for, what its values can be, its mistakes."""

import pytest

from prefork.settings.toml import from_file


def read(directory, config=None):
    problems: list[str] = []
    given = from_file(directory, config, problems)
    return {name: (value.texts, value.source) for name, value in given.items()}, problems


def test_prefork_toml_overrides_pyproject(tmp_path):
    """
    Only one file counts.
    """
    (tmp_path / "pyproject.toml").write_text("[tool.prefork]\nthreads = 2\n")
    alone = read(tmp_path)
    (tmp_path / "prefork.toml").write_text("spare = 2\n")

    assert alone == ({"threads": (("2",), "pyproject.toml")}, [])
    assert read(tmp_path) == ({"spare": (("2",), "prefork.toml")}, [])


def test_a_file_can_be_named(tmp_path):
    """
    Then no other is read; a pyproject.toml has its table everywhere.
    """
    (tmp_path / "prefork.toml").write_text("spare = 2\n")
    other = tmp_path / "other"
    other.mkdir()
    (other / "pyproject.toml").write_text("[tool.prefork]\nthreads = 2\n")

    assert read(tmp_path, "other/pyproject.toml") == (
        {"threads": (("2",), "other/pyproject.toml")}, [],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "name", "texts"),
    [
        ("workers = 4", "workers", ("4",)),
        ('workers = "1..8"', "workers", ("1..8",)),
        ("workers = [1, 8]", "workers", ("1..8",)),
        ("timeout = 0.5", "timeout", ("0.5",)),
        ("timeout = 1e-4", "timeout", ("0.0001",)),
        ("graceful_timeout = 3", "graceful-timeout", ("3",)),
        ("factory = true", "factory", ("true",)),
        ('bind = ":1"', "bind", (":1",)),
        ('bind = [":1", ":2"]', "bind", (":1", ":2")),
        ('env = { A = "x y", B = 2 }', "env", ("A=x y", "B=2")),
        ('umask = "022"', "umask", ("022",)),
    ],
)
def test_values_are_what_they_look_like(tmp_path, line, name, texts):
    """
    Numbers, texts, switches, and lists where several are taken.
    """
    (tmp_path / "prefork.toml").write_text(f"{line}\n")

    assert read(tmp_path) == ({name: (texts, "prefork.toml")}, [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("threads = [1, 2]", ["threads cannot be [1, 2] (from prefork.toml)"]),
        ("threads = { a = 1 }", ["threads cannot be"]),
        ("umask = 22", ["umask cannot be 22", "octal"]),
        ("wrokers = 3", ["unknown key 'wrokers'; did you mean workers?"]),
        ("keep-alive = 3", ["'keep-alive', which this version does not offer"]),
        ("workers = ", ["not TOML"]),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, text, words):
    """
    It names the file and what is wrong in it.
    """
    (tmp_path / "prefork.toml").write_text(text)

    _, [problem] = read(tmp_path)

    assert "prefork.toml" in problem
    assert all(word in problem for word in words)


def test_a_file_that_is_not_there_is_a_mistake_only_if_named(tmp_path):
    """
    Without --config no file is needed.
    """
    assert read(tmp_path) == ({}, [])
    assert read(tmp_path, "my.toml")[1] == [
        "the settings file my.toml cannot be read: No such file or directory"
    ]


@pytest.mark.parametrize("text", ["", "[tool.other]\nx = 1\n", "[project]\nname = 'x'\n"])
def test_a_pyproject_without_our_table_has_no_settings(tmp_path, text):
    """
    It exists for other tools.
    """
    (tmp_path / "pyproject.toml").write_text(text)

    assert read(tmp_path) == ({}, [])


def test_a_value_instead_of_the_table_is_a_mistake(tmp_path):
    """
    As in ``tool.prefork = 1``.
    """
    (tmp_path / "pyproject.toml").write_text("[tool]\nprefork = 3\n")

    assert "not a table" in read(tmp_path)[1][0]
