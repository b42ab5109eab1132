#!/usr/bin/env python3
"""Makes a Windows CPython 3.11 that runs under Wine, for the tests of prefork on Windows.

    python3.11 tests/wine/make.py [DIRECTORY]

The directory is $PREFORK_WINE, or ~/.cache/prefork-wine.  What is there already is left as it is,
so a second run takes no time.  Needs Debian's packages wine, wine64, gcc-mingw-w64-x86-64,
g++-mingw-w64-x86-64 and unzip, which it installs itself as root, and PyPI.

The interpreter is the one that the wheel of panda3d ships; the standard library is that of the
Python which runs this; launcher and python3.dll are compiled here.
"""

import compileall
import fcntl
import hashlib
import inspect
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic

HERE = Path(__file__).parent
LOCK = HERE.parents[1] / "requirements" / "test.txt"

INTERPRETER = "panda3d==1.10.16"  # the last release whose wheel has python311.dll
#: What prefork needs at run time, and its tests; the versions are those of the lock.
WHEELS = (
    "msgspec setproctitle rich markdown-it-py mdurl pygments "
    "pytest pytest-timeout iniconfig packaging pluggy hypothesis sortedcontainers"
)
#: pip evaluates the markers of dependencies for the system it runs on, so this has to be named.
WINDOWS_ONLY = ("colorama==0.4.6",)
UNUSED = (
    "site-packages dist-packages test tests idlelib tkinter lib2to3 ensurepip turtledemo "
    "config-* lib-dynload __pycache__"
)
PROGRAMS = {
    "wine": "wine",
    "/usr/lib/wine/wine64": "wine64",
    "x86_64-w64-mingw32-gcc": "gcc-mingw-w64-x86-64",
    "x86_64-w64-mingw32-g++": "g++-mingw-w64-x86-64",
}
COMPILER = "x86_64-w64-mingw32-gcc"

LAUNCHER = r"""
#include <windows.h>
int wmain(int count, wchar_t **words) {
    HMODULE python = LoadLibraryW(L"python311.dll");
    if (!python) return 101;
    int (*run)(int, wchar_t **) = (void *)GetProcAddress(python, "Py_Main");
    return run ? run(count, words) : 102;
}
"""
MANIFEST = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    '<assembly xmlns="urn:schemas-microsoft-com:asm.v1" manifestVersion="1.0">'
    '<compatibility xmlns="urn:schemas-microsoft-com:compatibility.v1"><application>'
    '<supportedOS Id="{8e0f7a12-bfb3-4fe8-b9a5-48fd50a15a9a}"/>'  # Windows 10
    "</application></compatibility></assembly>"
)


class MakeError(Exception):
    """Why there is no Windows Python; a sentence."""


def directory() -> Path:
    """Return where it is, or will be, unless something else is said."""
    said = os.environ.get("PREFORK_WINE")
    return Path(said) if said else Path.home() / ".cache" / "prefork-wine"


def environment(place: Path, ours: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return ``ours`` with what Wine and the Python in it have to know."""
    return {
        **{name: value for name, value in ours.items() if not name.startswith("PYTHON")},
        "WINEPREFIX": str(place / "prefix"),
        "WINEDEBUG": "-all",
        "WINEDLLOVERRIDES": "mscoree,mshtml=;winemenubuilder.exe=d",
        "DISPLAY": "",
        "PYTHONUTF8": "1",
    }


def main(arguments: list[str]) -> int:
    """Make it, or say why that cannot be."""
    place = Path(arguments[0]) if arguments else directory()
    try:
        make(place.absolute())
    except MakeError as error:
        print(f"make.py: {error}", file=sys.stderr)
        return 1
    return 0


def make(place: Path) -> None:
    """Do every step whose result is not there yet; raises MakeError."""
    if sys.version_info[:2] != (3, 11):
        found = ".".join(map(str, sys.version_info[:3]))
        raise MakeError(f"it takes the library of a Python 3.11, and this is {found}")
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # freed with its process, whatever becomes of that
        install_programs()
        for step in (interpreter, library, launcher, wheels, prefix):
            perform(step, place)
    print(f"there is a Windows Python in {place}")


def perform(step: Callable[[Path], None], place: Path) -> None:
    """Do ``step`` unless it has been done in this very form."""
    stamp = place / "done" / step.__name__
    recipe = [inspect.getsource(step), INTERPRETER, WHEELS, UNUSED, LAUNCHER, *pins()]
    digest = hashlib.sha256("\n".join(recipe).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    began = monotonic()
    step(place)
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(digest)
    print(f"{monotonic() - began:6.1f} s  {step.__name__}: {inspect.getdoc(step)}", flush=True)


def install_programs() -> None:
    """Have Debian's packages installed; raises MakeError where only the user can do that."""
    missing = [package for name, package in PROGRAMS.items() if shutil.which(name) is None]
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise MakeError(f"it needs {', '.join(missing)}; as root: apt-get install them")
    print(f"installing {', '.join(missing)}", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "-q", env=quiet)
    run("apt-get", "install", "-y", "-q", "--no-install-recommends", *missing, env=quiet)


def interpreter(place: Path) -> None:
    """python311.dll, its extension modules and the C run-time are unpacked."""
    home = fresh(place / "py")
    modules = fresh(home / "DLLs")
    with tempfile.TemporaryDirectory(dir=place) as download:
        pip("download", "--no-deps", *FOR_WINDOWS, "--dest", download, INTERPRETER)
        (wheel,) = Path(download).glob("panda3d-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.startswith("deploy_libs/") and not name.endswith("/"):
                    (modules / Path(name).name).write_bytes(archive.read(name))
    for name in ("_tkinter.pyd", "_msi.pyd", "winsound.pyd", "tcl86t.dll", "tk86t.dll"):
        (modules / name).unlink(missing_ok=True)
    (modules / "python311.dll").rename(home / "python311.dll")
    for runtime in (*modules.glob("[Vv][Cc][Rr]*140.dll"), *modules.glob("api-ms-win-crt-*.dll")):
        shutil.copy(runtime, home)


def library(place: Path) -> None:
    """The standard library is copied and compiled."""
    target = place / "py" / "Lib"
    skipped = shutil.ignore_patterns(*UNUSED.split())
    shutil.copytree(sysconfig.get_path("stdlib"), target, dirs_exist_ok=True, ignore=skipped)
    (target / "site-packages").mkdir(exist_ok=True)
    compile_all(target)


def launcher(place: Path) -> None:
    """python.exe and python3.dll, of the stable interface, are compiled."""
    home = place / "py"
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        work = Path(scratch)
        (work / "launcher.c").write_text(LAUNCHER)
        (work / "python.manifest").write_text(MANIFEST)
        (work / "python.rc").write_text('1 24 "python.manifest"\n')
        (work / "forward.c").write_text("int __stdcall DllMain(void *a, int b, void *c){return 1;}")
        (work / "python3.def").write_text(forwards(home / "python311.dll"))
        run("x86_64-w64-mingw32-windres", "python.rc", "python.o", cwd=work)
        executable = ("-O2", "-municode", "-static", "-s", "launcher.c", "python.o")
        run(COMPILER, *executable, "-o", str(home / "python.exe"), cwd=work)
        shared = ("-shared", "-nostdlib", "-e", "DllMain", "-s", "forward.c", "python3.def")
        run(COMPILER, *shared, "-o", str(home / "python3.dll"), cwd=work)


def forwards(dll: Path) -> str:
    """Return the definition of a library that passes every name on to ``dll``."""
    table = run("x86_64-w64-mingw32-objdump", "-p", str(dll)).partition("[Ordinal/Name Pointer]")[2]
    names = sorted(set(re.findall(r"\] ([A-Za-z_]\w*)$", table.partition("\n\n")[0], re.M)))
    return "\n".join(["LIBRARY python3.dll", "EXPORTS", *(f"{n} = python311.{n}" for n in names)])


def wheels(place: Path) -> None:
    """The packages that prefork and its tests import are installed."""
    target = place / "py" / "Lib" / "site-packages"
    shutil.rmtree(target, ignore_errors=True)
    pip("install", "--no-deps", "--target", str(target), *FOR_WINDOWS, *pins())
    compile_all(target)


def prefix(place: Path) -> None:
    """Wine's C: drive is set up, as Windows 10."""
    fresh(place / "prefix")
    wine = environment(place)
    run("wineboot", "-i", env=wine)
    run("wine", "winecfg", "-v", "win10", env=wine)  # a new prefix says that it is Windows 6.1
    run("wineserver", "-w", env=wine)
    share_libraries(place / "prefix" / "drive_c" / "windows" / "system32")


def share_libraries(system: Path) -> None:
    """Replace each copy of a file of Debian's by a link to it: 80 MB instead of 700."""
    (home,) = Path("/usr/lib").glob("*-linux-gnu/wine/x86_64-windows")
    for copy in (*system.iterdir(), *(system / "drivers").iterdir()):
        original = home / copy.name
        if copy.is_symlink() or not (copy.is_file() and original.is_file()):
            continue
        if copy.read_bytes() == original.read_bytes():
            copy.unlink()
            copy.symlink_to(original)


FOR_WINDOWS = (
    *("--platform", "win_amd64", "--python-version", "3.11", "--implementation", "cp"),
    "--only-binary=:all:",
)


def pins() -> list[str]:
    """Return the packages to install, each with the version of the project's lock."""
    lock = dict(line.split("==") for line in LOCK.read_text().splitlines() if "==" in line)
    lock = {name.lower(): version for name, version in lock.items()}
    return [*(f"{name}=={lock[name]}" for name in WHEELS.split()), *WINDOWS_ONLY]


def pip(*arguments: str) -> None:
    """Run pip quietly; it must not look at what is installed here."""
    run(sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *arguments)


def compile_all(target: Path) -> None:
    """Write the byte code of everything in ``target``, which never changes."""
    never_checked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(target, quiet=2, workers=1, invalidation_mode=never_checked)


def fresh(path: Path) -> Path:
    """Return ``path`` as an empty directory."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def run(*command: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a program to its end and return what it prints; raises MakeError when it fails."""
    done = subprocess.run(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "it says nothing").splitlines()[-1]
        raise MakeError(f"{' '.join(command[:4])} failed ({done.returncode}): {last}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
