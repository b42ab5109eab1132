"""A program that gets its sockets as systemd passes them, and reports its state, under prefork.

    prefork exec --bind 127.0.0.1:8000 --workers 3 -- python3 listen_fds.py

No descriptor is on its command line: LISTEN_FDS is the number of sockets, the first is 3.
The same file runs as a systemd service with socket activation and Type=notify.
"""

import os
import select
import signal
import socket


def notify(text: str) -> None:
    """Tell prefork, or systemd, how we are."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(text.encode(), address.replace("@", "\0", 1))


def main() -> None:
    """Answer each connection with our process id, until SIGTERM."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        raise SystemExit("no sockets were passed to this process")
    count = int(os.environ["LISTEN_FDS"])
    poll = select.poll()
    listeners = {}
    for fd in range(3, 3 + count):
        listeners[fd] = socket.socket(fileno=fd)
        listeners[fd].setblocking(False)  # another worker may be faster to accept
        poll.register(fd, select.POLLIN)

    # A signal writes to the bell, so none is missed between a look and the next wait.
    bell, rope = socket.socketpair()
    rope.setblocking(False)
    signal.set_wakeup_fd(rope.fileno())
    signal.signal(signal.SIGTERM, lambda *_: None)
    poll.register(bell, select.POLLIN)

    half_period = int(os.environ.get("WATCHDOG_USEC", 60_000_000)) / 2000  # milliseconds
    notify("READY=1\nSTATUS=serving")
    while True:
        notify("WATCHDOG=1")
        for fd, _ in poll.poll(half_period):
            if fd == bell.fileno():
                notify("STOPPING=1")
                return
            answer(listeners[fd])


def answer(listener: socket.socket) -> None:
    """Serve one client, if no other worker was faster."""
    try:
        client, _ = listener.accept()
    except BlockingIOError:
        return
    with client:
        client.settimeout(5)
        client.sendall(b"%d\n" % os.getpid())
        if client.recv(100).startswith(b"hang"):
            signal.pause()  # what a bug may look like: nothing is heard of us any more


if __name__ == "__main__":
    main()
