"""The placeholder in a program's arguments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefork.worker.placeholders import Values, filled, names_descriptors, unknown

VALUES = Values(fds=[5, 6], port=8000, slot=2)


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("{fd}", "5"),
        ("{fd:0}", "5"),
        ("fd://{fd:1}", "fd://6"),
        ("{fd}{fd:1}-{port}.{slot}", "56-8000.2"),
        ("{{fd}}", "{5}"),
        ('{"fd": {fd}}', '{"fd": 5}'),
        ("{fd:}", "{fd:}"),
        ("{fd:-1}", "{fd:-1}"),
        ("{FD} { fd } {fd {x} {} {fd:٣}", "{FD} { fd } {fd {x} {} {fd:٣}"),
        ("", ""),
    ],
)
def test_exact_placeholders_are_replaced_and_nothing_else(argument, text):
    """
    Other braces belong to the program.
    """
    assert text == filled(argument, VALUES)


@given(st.text(alphabet="{}fdportsl:0123", max_size=30))
def test_what_is_not_refused_can_be_filled(argument):
    """
    An argument without an unknown placeholder never fails.
    """
    if not list(unknown([argument], 2, has_port=True)):
        filled(argument, VALUES)


@pytest.mark.parametrize(
    ("argument", "addresses", "has_port", "count"),
    [
        ("{fd:1}", 1, True, 1),
        ("{fd:1}", 2, True, 0),
        ("{fd:999999999}", 2, True, 1),
        ("{fd}{port}", 1, False, 1),
        ("{fd:2}{fd:3}{port}", 1, False, 3),
        ("{slot}{x}", 1, False, 0),
    ],
)
def test_a_placeholder_without_a_value_is_a_mistake(argument, addresses, has_port, count):
    """
    One sentence for each of them, which names the argument.
    """
    sentences = list(unknown([argument], addresses, has_port=has_port))

    assert count == len(sentences)
    assert all(repr(argument) in sentence for sentence in sentences)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(["{fd}"], True), (["x", "a{fd:0}"], True), (["{port}", "{slot}", "fd"], False), ([], False)],
)
def test_descriptors_are_copied_only_for_arguments_that_name_one(arguments, named):
    """
    {port} and {slot} name none.
    """
    assert named == names_descriptors(arguments)
