"""What import-linter and ruff cannot see of the shape that the code has promised to keep."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "prefork"
MODULES = sorted(SOURCE.rglob("*.py"))
CORE = [module for module in MODULES if module.is_relative_to(SOURCE / "core")]

LONGEST_MODULE = 300  # lines
LONGEST_FUNCTION = 45  # lines, the docstring not counted

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(module: Path) -> str:
    return str(module.relative_to(ROOT))


every_module = pytest.mark.parametrize("module", MODULES, ids=name_of)


@every_module
def test_a_module_fits_in_a_head(module):
    """
    No module is longer than 300 lines.
    """
    lines = len(module.read_text().splitlines())

    assert lines <= LONGEST_MODULE


@every_module
def test_a_function_fits_on_a_screen(module):
    """
    No function is longer than 45 lines, its docstring not counted.
    """
    lengths = {function.name: length(function) for function in functions(parsed(module))}

    assert {} == {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION}


@every_module
def test_a_module_says_what_it_is_for(module):
    """
    Every module opens with a docstring whose first line is a sentence.
    """
    documentation = ast.get_docstring(parsed(module)) or ""

    assert re.match(r"\S.*[.:]$", documentation.split("\n\n")[0].replace("\n", " "))


@every_module
def test_nothing_sleeps(module):
    """
    time.sleep is called nowhere, under whatever name: waiting is for something.
    """
    assert [] == [name for name in imported_names(parsed(module)) if name == "time.sleep"]
    assert [] == attributes(parsed(module), "time", {"sleep"})


@every_module
def test_imports_are_absolute(module):
    """
    No import is relative to its package.
    """
    relative = [
        node.lineno
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.ImportFrom) and node.level
    ]

    assert [] == relative


@pytest.mark.parametrize("module", CORE, ids=name_of)
def test_the_core_reads_no_clock(module):
    """
    Time is an argument in the core: it imports no clock, and asks none.
    """
    tree = parsed(module)
    clocks = {"time", "datetime", "sched"}

    assert [] == [name for name in imported_names(tree) if name.split(".")[0] in clocks]
    assert [] == attributes(tree, None, {"monotonic", "perf_counter", "utcnow"})


@pytest.mark.parametrize("module", CORE, ids=name_of)
def test_the_core_neither_opens_nor_prints(module):
    """
    The core has no input and no output.
    """
    forbidden = {"open", "print", "input", "exec", "eval", "__import__"}
    calls = [
        node.func.id
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]

    assert [] == [name for name in calls if name in forbidden]


def test_the_arbiter_is_a_small_interpreter():
    """
    The arbiter imports nothing that parses, draws, runs loops or threads of its own.
    """
    heavy = {"argparse", "asyncio", "concurrent", "importlib.metadata", "multiprocessing"}
    heavy |= {
        "prefork.cli",
        "prefork.kinds.targets",
        "prefork.worker.boot",
        "rich",
        "ssl",
        "tomllib",
    }

    assert set() == heavy & modules_after("import prefork.arbiter.__main__")


def test_a_worker_is_a_small_interpreter():
    """
    What runs user code brings neither the command line, nor the arbiter, nor the rules along.
    """
    heavy = {"asyncio", "prefork.arbiter", "prefork.cli", "prefork.core.pool", "rich", "ssl"}

    assert set() == heavy & modules_after("import prefork.worker.mold")


def test_the_lock_pins_releases_and_names_no_place():
    """
    Every line of requirements/test.txt is ``name==release``: no range, no address.
    """
    loose = [line for line in lock_lines() if not re.fullmatch(r"[\w.-]+==[\w.]+", line)]

    assert [] == loose


def test_the_lock_covers_what_the_project_asks_for():
    """
    Each requirement of pyproject.toml, extras and build included, is met by a pin.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in project["project"]["optional-dependencies"].values():
        asked += extra
    pinned = lock()
    requirements = [Requirement(text) for text in asked]

    assert [] == [
        str(requirement)
        for requirement in requirements
        if not requirement.specifier.contains(pinned.get(canonicalize_name(requirement.name), "0"))
    ]


def parsed(module: Path) -> ast.Module:
    return ast.parse(module.read_text(), str(module))


def functions(tree: ast.Module) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node


def length(function: Function) -> int:
    """Return the lines of a function without its decorators and its docstring."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None and first.end_lineno is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def imported_names(tree: ast.Module) -> Iterator[str]:
    """Yield ``package.module`` of an import, ``package.module.name`` of a from-import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def attributes(tree: ast.Module, owner: str | None, names: set[str]) -> list[str]:
    """Return the uses of ``owner.name``, of any owner if it is None."""
    return [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in names
        and (owner is None or (isinstance(node.value, ast.Name) and node.value.id == owner))
    ]


def modules_after(statement: str) -> set[str]:
    """Return what a fresh interpreter has imported after ``statement``."""
    code = f"import sys; {statement}; print(*sys.modules, sep='\\n')"
    command = [sys.executable, "-P", "-c", code]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def lock() -> dict[str, str]:
    pins = dict(line.split("==") for line in lock_lines())
    return {canonicalize_name(name): release for name, release in pins.items()}


def lock_lines() -> list[str]:
    lines = (ROOT / "requirements" / "test.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]
