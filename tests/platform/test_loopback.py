"""The pair of sockets that stands in for socketpair(2) on Windows; it works anywhere."""

import socket
from concurrent.futures import ThreadPoolExecutor

from prefork.platform.socket_pair import _accepted, socket_pair


def test_what_goes_in_comes_out():
    """
    In both directions, until one end closes.
    """
    ours, theirs = socket_pair()
    with ours, theirs:
        ours.sendall(b"down")
        theirs.sendall(b"up")
        assert (b"down", b"up") == (theirs.recv(9), ours.recv(9))
        theirs.close()

        assert b"" == ours.recv(9)


def test_a_stranger_who_connects_first_is_dropped():
    """
    He meets with the end of his connection, and we take our own.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        strangers = [socket.create_connection(address) for _ in range(5)]
        ours = socket.create_connection(address)

        with _accepted(listener, ours.getsockname()) as theirs, ours:
            ours.sendall(b"hello")
            assert b"hello" == theirs.recv(9)
        for stranger in strangers:
            with stranger:
                assert b"" == stranger.recv(9)


def test_pairs_are_not_mixed_up():
    """
    However many are made at once.
    """

    def converse(number):
        ours, theirs = socket_pair()
        with ours, theirs:
            ours.sendall(b"%d" % number)
            return int(theirs.recv(9))

    with ThreadPoolExecutor(16) as pool:
        assert list(range(200)) == list(pool.map(converse, range(200)))
