"""The documentation says what the program does, no more and no less."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from prefork.cli import COMMANDS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SOURCES = sorted((ROOT / "src" / "prefork").rglob("*.py"))
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
PAGES = [page for page in PAGES if "_build" not in page.parts]

#: Words for which the glossary has another.
NOT_OURS = ("master", "zygote", "preloader", "graceful shutdown", "child worker", "supervisor")

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND_LINE = re.compile(r"(?:^|[\s/=`])prefork (\w+)([^`\n|&]*)")
FLAG = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


@every_page
def test_commands_in_the_text_exist(page):
    """
    This version accepts each ``prefork COMMAND --flag`` that a page shows.
    """
    unknown = [
        f"{command}{rest}"
        for command, rest in command_lines(page.read_text())
        if command not in COMMANDS
        or not set(FLAG.findall(rest.partition(" -- ")[0])) <= flags_of(command)
    ]

    assert [] == unknown


@every_page
def test_python_in_the_text_compiles(page):
    """
    Python examples are complete enough to be parsed.
    """
    for language, code in blocks(page):
        if language == "python" and "->" not in code.partition("\n")[0]:
            compile(code, name_of(page), "exec")


@every_page
def test_pages_use_the_words_of_the_glossary(page):
    """
    One word for one idea: no page uses a word for which the glossary has another.
    """
    text = page.read_text().lower()

    assert [] == [word for word in NOT_OURS if re.search(rf"\b{word}\b", text)]


@every_page
def test_a_line_holds_one_sentence(page):
    """
    One sentence a line, so that a change touches the lines it changes.
    """
    if "do not edit" in page.read_text():
        return  # made from the declarations
    prose = re.sub(BLOCK, "", page.read_text())
    lines = [line for line in prose.splitlines() if not line.startswith(("|", "    "))]

    assert [] == [line for line in lines if re.search(r"[a-z)`]{2}[.?!] [A-Z`]", line)]


def test_every_command_has_its_section():
    """
    The commands page has a section for each command, and for no other.
    """
    text = (DOCS / "reference" / "commands.md").read_text()
    sections = re.findall(r"^### prefork (\w+)$", text, re.MULTILINE)

    assert sorted(COMMANDS) == sorted(sections)


def test_every_log_event_is_on_its_page():
    """
    The log page names every event that the program writes, and no other.
    """
    text = (DOCS / "reference" / "log.md").read_text()
    without_causes = re.sub(r"### Causes.*?^(?=## )", "", text, flags=re.MULTILINE | re.DOTALL)
    rows = [row for row in without_causes.splitlines() if row.startswith("| `")]
    named = {event for row in rows for event in quoted(row.split("|")[1])}
    named |= {event for event in ("connected", "received", "closed") if f"`{event}`" in text}

    assert sorted(named) == sorted(set(events()))


def test_every_cause_is_on_the_log_page():
    """
    The causes of exits are those of the pool, with the same names.
    """
    states = ast.parse((ROOT / "src" / "prefork" / "core" / "states.py").read_text())
    cause = next(
        node for node in states.body if isinstance(node, ast.ClassDef) and node.name == "Cause"
    )
    assigned = [node.value for node in cause.body if isinstance(node, ast.Assign)]
    known = [str(value.value) for value in assigned if isinstance(value, ast.Constant)]
    text = (DOCS / "reference" / "log.md").read_text()

    assert [] == [word for word in known if f"| `{word}` |" not in text]


def test_the_readme_has_the_two_lines():
    """
    One line starts the server from a fresh clone, one line runs the tests.
    """
    lines = [code.strip() for language, code in blocks(ROOT / "README.md") if language == "sh"]

    assert [
        "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/prefork echo",
        "./test",
    ] == lines


def test_links_of_the_readme_are_valid():
    """
    Every file that README and CONTRIBUTING link to exists.
    """
    targets = [
        target
        for page in ("README.md", "CONTRIBUTING.md", "docs/index.md")
        for target in linked(ROOT / page)
    ]

    assert [] == [target for target in targets if not target.exists()]


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return language and content of the fenced blocks of ``page``."""
    return [(match[1], match[2]) for match in BLOCK.finditer(page.read_text())]


def command_lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield command and rest of each command line, in shell and unit blocks and in backticks."""
    for match in BLOCK.finditer(text):
        if match[1] in ("console", "sh", "ini"):
            for line in match[2].splitlines():
                yield from COMMAND_LINE.findall(line)
    for typed in re.findall(r"`(prefork [^`]+)`", re.sub(BLOCK, "", text)):
        yield from ((c, rest) for c, rest in COMMAND_LINE.findall(typed) if c != "COMMAND")


@cache
def flags_of(command: str) -> set[str]:
    argv = [sys.executable, "-m", "prefork", command, "--help"]
    return set(
        FLAG.findall(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
    )


def quoted(row: str) -> list[str]:
    return re.findall(r"`([^`]+)`", row)


def events() -> Iterator[str]:
    """Yield the name of each event that some module logs."""
    writes = {"debug", "info", "warning", "error", "exception"}
    for module in SOURCES:
        if module.name != "log.py":
            for node in ast.walk(ast.parse(module.read_text())):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr in writes
                    and node.args
                ):
                    yield from alternatives(node.args[0])
    yield from ("log not reopened", "log lines lost")  # of log.py, which logs of itself


def alternatives(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from alternatives(node.body)
        yield from alternatives(node.orelse)


def linked(page: Path) -> Iterator[Path]:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        yield page.parent / target
