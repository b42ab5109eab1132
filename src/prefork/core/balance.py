"""Which of several workers with an event loop, which all see a new connection, takes it.

Imported by workers, so it imports nothing.
"""


def idler_limit(mine: int) -> int:
    """Return the number of units below which a peer should get the next one instead.

    A worker that holds ``mine`` units leaves a connection to a peer that holds nothing, when
    ``mine`` is two or more, or to one that holds at least three less, and a sixteenth.
    """
    return max(mine - max(mine // 16 + 1, 2), min(mine - 1, 1), 0)
