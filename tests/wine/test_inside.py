"""Runs the tests that need a Windows Python in one."""

import pytest

from wine import INSIDE, windows_path

pytestmark = [pytest.mark.slow, pytest.mark.essential]


@pytest.mark.parametrize("module", sorted(path.name for path in INSIDE.glob("test_*.py")))
def test_a_windows_python_agrees(wine, module):
    """
    What the module in ``inside`` says holds there.
    """
    options = ["-q", "-p", "no:cacheprovider", f"--confcutdir={windows_path(INSIDE)}"]
    pytest_there = wine.start("-m", "pytest", *options, INSIDE / module)

    assert 0 == pytest_there.wait(100), str(pytest_there)
