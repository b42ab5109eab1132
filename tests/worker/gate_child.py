"""A worker's gate and channel in a process of their own, without anything around them.

Answers each connection with its process id, then with what it receives.
"""

import argparse
import os
import socket

from prefork.ipc import messages
from prefork.ipc.scoreboard import Scoreboard
from prefork.logs import log
from prefork.logs.log import Log
from prefork.worker.accept.gate import Gate
from prefork.worker.accept.posix import BlockingGate, ExclusiveGate, FileMutex, MutexGate
from prefork.worker.posix_channel import PosixChannel


def main() -> None:
    """Serve until it is time to leave."""
    parser = argparse.ArgumentParser()
    parser.add_argument("mode")
    for name in ("slot", "channel", "board", "mutex"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--listener", type=int, action="append")
    given = parser.parse_args()
    log.use(Log("warning"))
    row = Scoreboard.open(given.board, writable=True).row(given.slot)
    channel = PosixChannel(socket.socket(fileno=given.channel), row)
    channel.read_on_signal()
    listeners = [socket.socket(fileno=fd) for fd in given.listener]
    channel.close_when_orphaned(listeners, lambda: None)
    gate = make_gate(given.mode, listeners, channel, given.mutex)
    channel.send(messages.Ready(os.getpid()))
    while (accepted := gate.accept()) is not None:
        with accepted[0] as connection:
            connection.sendall(b"%d\n" % os.getpid())
            while data := connection.recv(1 << 16):
                connection.sendall(data)


def make_gate(mode: str, listeners: list[socket.socket], channel: PosixChannel, mutex: int) -> Gate:
    if mode == "blocking":
        return BlockingGate(listeners[0], channel)
    if mode == "exclusive":
        return ExclusiveGate(listeners, channel)
    lock = FileMutex(mutex, mode)
    lock.release_when_leaving(channel)
    return MutexGate(listeners, channel, lock)


if __name__ == "__main__":
    main()
