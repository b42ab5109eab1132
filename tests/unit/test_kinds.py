"""The registry of kinds: which there are, what of them is imported, which names are refused."""

import subprocess
import sys

import pytest

from prefork.kinds import Facts, all_kinds, built_in, facts_of, kind_named, offered, register
from prefork.kinds.base import SCHEMES, Kind


def kind_called(name):
    return Kind(
        name=name,
        serve=lambda worker, handler: 0,
        example="anything",
        arguments=(),
        matches=lambda shape: False,
        order=1,
    )


@pytest.mark.parametrize("name", sorted(built_in()))
def test_a_kind_is_called_as_its_module(name):
    """
    So a name leads to the module, and adding a kind is adding a file.
    """
    kind = kind_named(name)

    assert name == kind.name
    assert set(kind.serves) <= set(SCHEMES)
    assert kind.capacity in ("threads", "concurrency")


def test_what_is_offered_are_all_kinds_of_handlers():
    """
    Though none is imported for the question; programs have a command of their own.
    """
    assert sorted(kind.name for kind in all_kinds() if not kind.foreign_programs) == [*offered()]


def test_no_two_kinds_are_asked_at_the_same_time():
    """
    The order of detection does not depend on the order of files.
    """
    orders = [kind.order for kind in all_kinds()]

    assert sorted(set(orders)) == orders


@pytest.mark.parametrize("name", ["stream", "auto", "Lines", "two words", "", "x" * 32, "0lines"])
def test_a_name_that_is_taken_or_none_is_refused(name):
    """
    With a sentence, while the module that registers it is imported.
    """
    with pytest.raises(ValueError, match="kind"):
        register(kind_called(name))


def test_facts_from_outside_need_no_import():
    """
    The arbiter knows a kind of the user's by what travels with the settings.
    """
    facts = Facts(name="lines", event_loop=True, module="lines_kind")

    assert facts == facts_of("lines", [facts])
    assert Facts(name="auto") == facts_of("auto")
    assert facts_of("command").foreign_programs


@pytest.mark.parametrize(
    ("statement", "imported"),
    [
        ("import prefork.arbiter.__main__", set()),
        ("import prefork.cli.serve", set()),
        ("from prefork.settings import Settings; Settings(kind='stream').facts", {"stream"}),
        ("from prefork.kinds import kind_named; kind_named('asyncio')", {"asyncio"}),
    ],
)
def test_a_kind_is_imported_when_it_is_asked_for(statement, imported):
    """
    And with it no event loop: who only asks for its name has no use for one.
    """
    code = f"import sys; {statement}; print(*sys.modules, sep='\\n')"
    command = [sys.executable, "-P", "-c", code]
    modules = set(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    )

    assert imported == {name for name in built_in() if f"prefork.kinds.{name}" in modules}
    assert not {"asyncio", "socketserver"} & modules
