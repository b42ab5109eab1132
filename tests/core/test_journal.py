"""The memory behind ``prefork why``."""

import pytest

from prefork.core.journal import LENGTH, Decision, Journal


def journal(entries: int) -> Journal:
    written = Journal()
    for number in range(entries):
        written.append(
            Decision(at=float(number), kind="scale", before=1, after=2, why="…", inputs={})
        )
    return written


@pytest.mark.parametrize(
    ("entries", "seen", "new"),
    [(0, 0, 0), (3, 0, 3), (3, 2, 1), (3, 3, 0), (5_000, 4_999, 1), (5_000, 0, LENGTH)],
)
def test_a_reader_gets_what_is_new_as_far_as_it_is_remembered(entries, seen, new):
    """
    The latest decisions after the ones seen, at most the journal's length.
    """
    decisions = journal(entries).since(seen)

    assert [float(at) for at in range(entries - new, entries)] == [it.at for it in decisions]
