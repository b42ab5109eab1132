"""Runs the tests that need a Windows Python in one."""

import pytest

from wine import HERE, INSIDE, SOURCE, windows_path

#: What every platform promises; it imports what the tests of other systems do, too.
CONTRACT = HERE.parent / "platform" / "test_contract.py"

pytestmark = [pytest.mark.slow, pytest.mark.essential]


@pytest.mark.parametrize("module", sorted(path.name for path in INSIDE.glob("test_*.py")))
def test_a_windows_python_agrees(wine, module):
    """
    What the module in ``inside`` says holds there.
    """
    options = ["-q", "-p", "no:cacheprovider", f"--confcutdir={windows_path(INSIDE)}"]
    pytest_there = wine.start("-m", "pytest", *options, INSIDE / module)

    assert 0 == pytest_there.wait(100), str(pytest_there)


def test_the_platform_of_windows_keeps_the_contract(wine):
    """
    That of all platforms.
    """
    options = ["-q", "-p", "no:cacheprovider", f"--confcutdir={windows_path(CONTRACT.parent)}"]
    path = ";".join(windows_path(each) for each in (SOURCE, HERE.parent))
    pytest_there = wine.start("-m", "pytest", *options, CONTRACT, PYTHONPATH=path)

    assert 0 == pytest_there.wait(100), str(pytest_there)
