"""When a worker with an event loop leaves a connection to a peer: one rule for all systems.

A loop can hold many connections, so the kernel's queue alone would let one worker take them all.
"""

from typing import Final

from prefork.worker.accept.peers import Peer, Peers

#: Seconds that a peer has to take the connection that is left to it; then we take it.
PASS_PATIENCE: Final = 0.002


def better_placed(peers: Peers, active: int, *, leaving: bool, left_before: bool) -> Peer | None:
    """Return the peer that shall take the next connection; None if we, with ``active``, shall.

    A connection that was left to a peer before and still waits is ours: that peer had no room or
    no time.  A leaving worker takes the connection that has woken it: at the server's end all
    workers leave, and a peer may not have noted it yet.
    """
    return None if leaving or left_before else peers.idler_than(active)
