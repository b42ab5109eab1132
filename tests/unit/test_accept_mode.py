"""How workers wait for connections, once everything is known that it depends on."""

import pytest

from prefork.arbiter.accept_mode import accept_mode, accept_mode_of_kind
from prefork.platform.system import System
from prefork.settings import Settings


@pytest.mark.parametrize(
    ("kind", "accept", "listeners", "expected"),
    [
        ("auto", "auto", 1, "blocking" if System.wakes_one else "mutex"),
        ("auto", "auto", 2, "exclusive" if System.wakes_one else "mutex"),
        ("stream", "mutex", 1, "mutex"),
        ("stream", "exclusive", 1, "exclusive"),
        ("stream", "blocking", 2, "blocking"),
        ("command", "auto", 1, "program"),
        ("command", "mutex", 2, "program"),
    ],
)
def test_what_auto_means_depends_on_the_listeners(kind, accept, listeners, expected):
    """
    What was asked for is taken as it is; a foreign program accepts in its own way.
    """
    settings = Settings(target="app", kind=kind, accept=accept)

    assert expected == accept_mode(settings, listeners)


@pytest.mark.parametrize(
    ("mode", "event_loop", "expected"),
    [
        ("blocking", False, "blocking"),
        ("blocking", True, "exclusive"),
        ("exclusive", True, "exclusive"),
        ("mutex", True, "mutex"),
        ("program", False, "program"),
    ],
)
def test_an_event_loop_does_not_block_in_accept(mode, event_loop, expected):
    """
    It waits in its own epoll; what else was resolved stays.
    """
    assert expected == accept_mode_of_kind(mode, event_loop=event_loop)
