"""Which event loop the settings ask for; those of Windows are tested there (tests/wine)."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from prefork.errors import HandlerError
from prefork.kinds.event_loop.choice import check_loop


@pytest.mark.skipif(sys.platform == "win32", reason="it has these")
@pytest.mark.parametrize("loop", ["proactor", "selector"])
def test_the_loops_of_windows_are_refused(loop):
    """
    Whatever ``concurrency`` is, the sentence says what is here.
    """
    settings: Any = SimpleNamespace(loop=loop, concurrency=1_000_000)

    with pytest.raises(HandlerError, match=f"loop = {loop} is one of Windows; here are asyncio"):
        check_loop(settings)


def test_asyncios_own_loop_is_always_there():
    """
    Nothing is imported for it.
    """
    settings: Any = SimpleNamespace(loop="asyncio", concurrency=1)

    assert check_loop(settings) is None
