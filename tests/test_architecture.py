"""What import-linter and ruff cannot see of the shape that the code has promised to keep."""

import ast
import configparser
import functools
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from prefork.kinds import built_in

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "prefork"

LONGEST_MODULE = 300  # lines
#: Tables, of which nobody keeps more than one entry in mind: one setting after another.
TABLES = {"settings/__init__.py"}
LONGEST_FUNCTION = 45  # lines, the docstring not counted

#: Where code may differ between systems, and how often it asks which one it is on.  A number is
#: only ever lowered: what differs belongs behind the protocol in prefork.platform.
PLATFORM_CHECKS = {
    "arbiter": 1,
    "cli": 5,
    "control": 1,
    "kinds": 1,
    "launch": 1,
    "logs": 1,
    "settings": 3,
    "sockets": 2,
    "worker": 1,
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@functools.cache
def trees() -> dict[str, ast.Module]:
    """Return what each module of prefork says, by its path below ``src/prefork``."""
    return {
        module.relative_to(SOURCE).as_posix(): ast.parse(module.read_text(), str(module))
        for module in sorted(SOURCE.rglob("*.py"))
    }


def core() -> dict[str, ast.Module]:
    return {name: tree for name, tree in trees().items() if name.startswith("core/")}


def test_every_module_fits_in_a_head():
    """
    No module is longer than 300 lines, but for a table.
    """
    modules = trees().keys() - TABLES
    lengths = {name: len((SOURCE / name).read_text().splitlines()) for name in modules}

    assert {} == {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE}


def test_every_function_fits_on_a_screen():
    """
    No function is longer than 45 lines, its docstring not counted.
    """
    lengths = {
        f"{name}:{function.lineno} {function.name}": length(function)
        for name, tree in trees().items()
        for function in functions(tree)
    }

    assert {} == {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION}


def test_every_module_says_what_it_is_for():
    """
    Every module opens with a docstring whose first paragraph is a sentence.
    """
    openings = {
        name: (ast.get_docstring(tree) or "").split("\n\n")[0].replace("\n", " ")
        for name, tree in trees().items()
    }

    assert [] == [name for name, text in openings.items() if not re.match(r"\S.*[.:]$", text)]


def test_nothing_sleeps():
    """
    time.sleep is called nowhere, under whatever name: waiting is for something.
    """
    assert [] == [
        name
        for name, tree in trees().items()
        if "time.sleep" in imported_names(tree) or attributes(tree, "time", {"sleep"})
    ]


def test_imports_are_absolute():
    """
    No import is relative to its package.
    """
    assert [] == [
        f"{name}:{node.lineno}"
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]


def test_the_core_reads_no_clock():
    """
    Time is an argument in the core: it imports no clock, and asks none.
    """
    clocks = {"time", "datetime", "sched"}

    assert [] == [
        name
        for name, tree in core().items()
        if clocks & {imported.split(".")[0] for imported in imported_names(tree)}
        or attributes(tree, None, {"monotonic", "perf_counter", "utcnow"})
    ]


def test_the_core_neither_opens_nor_prints():
    """
    The core has no input and no output.
    """
    forbidden = {"open", "print", "input", "exec", "eval", "__import__"}

    assert [] == [
        f"{name}:{node.lineno} {node.func.id}"
        for name, tree in core().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if node.func.id in forbidden
    ]


def test_the_system_is_asked_for_in_platform_alone():
    """
    Outside of prefork.platform few places ask which system they are on, and no new ones.
    """
    found = Counter(
        name.split("/")[0]
        for name, tree in trees().items()
        for _ in attributes(tree, "sys", {"platform"}) + attributes(tree, "os", {"name"})
        if not name.startswith("platform/")
    )

    assert {} == {
        name: count for name, count in found.items() if count > PLATFORM_CHECKS.get(name, 0)
    }


def test_a_kind_is_compared_in_its_own_module_alone():
    """
    Whoever asks which kind is served has found a field that the kind's declaration lacks.
    """
    assert [] == [
        f"{name}:{node.lineno}"
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and compares_kind(node)
        if not name.startswith("kinds/")
    ]


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


def compares_kind(node: ast.Compare) -> bool:
    """Tell whether something that is called a kind is compared with the name of one."""
    sides = [node.left, *node.comparators]
    called = {getattr(side, "attr", getattr(side, "id", "")) for side in sides}
    nodes = (each for side in sides for each in ast.walk(side))
    values = {each.value for each in nodes if isinstance(each, ast.Constant)}
    return bool(values & built_in()) and any(name.endswith("kind") for name in called)


def lock() -> dict[str, str]:
    pins = dict(line.split("==") for line in lock_lines())
    return {canonicalize_name(name): release for name, release in pins.items()}


def lock_lines() -> list[str]:
    lines = (ROOT / "requirements" / "test.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_no_module_escapes_the_type_checker():
    """
    Each run leaves out what is for the other system alone, and no run what the other leaves out.
    """
    mypy = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    windows = configparser.ConfigParser()
    windows.read(ROOT / ".mypy-windows.ini")
    left_out_here = re.compile("|".join(mypy["exclude"]))
    left_out_there = re.compile(windows["mypy"]["exclude"])
    found = [f"/src/prefork/{name}" for name in trees()]

    assert any(left_out_here.search(path) for path in found)
    assert any(left_out_there.search(path) for path in found)
    both = [path for path in found if left_out_here.search(path) and left_out_there.search(path)]
    assert [] == both
