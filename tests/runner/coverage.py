"""Runs tests/core, and names the branches of prefork.core that none of them takes.

Runs in the environment, where coverage.py is.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile

_SOURCE = "src/prefork/core"
_TESTS = "tests/core"


def main() -> int:
    """Measure; return 0 if every branch was taken."""
    with tempfile.TemporaryDirectory() as directory:
        data = f"--data-file={directory}/data"
        python = [sys.executable, "-m", "coverage"]
        pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", _TESTS]
        measured = subprocess.run(
            [*python, "run", data, "--branch", f"--source={_SOURCE}", *pytest], check=False
        )
        report = [*python, "report", data, "--show-missing", "--skip-covered", "--fail-under=100"]
        reported = subprocess.run(report, check=False)
    return measured.returncode or reported.returncode


if __name__ == "__main__":
    sys.exit(main())
