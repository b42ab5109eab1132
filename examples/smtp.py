"""An SMTP server, of the kind protocol, on aiosmtpd: puts each mail into a Maildir.

MAILDIR=/tmp/mail prefork serve examples/smtp.py --bind 127.0.0.1:8025

It needs `pip install aiosmtpd`.  A mail is on the disk before its client gets the confirmation,
so a worker that dies loses no confirmed mail.
"""

import asyncio
import functools
import os
import secrets
import socket
import time
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

HOST = socket.gethostname()


class Store:
    """What aiosmtpd calls for the steps of a conversation."""

    def __init__(self, maildir: Path) -> None:
        self.maildir = maildir

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take a whole mail."""
        # In a thread: the event loop must not wait for the disk.
        try:
            name = await asyncio.to_thread(self.deliver, envelope)
        except OSError as error:
            return f"451 Cannot store it now: {error.strerror}"
        return f"250 Stored as {name}"

    def deliver(self, envelope: Envelope) -> str:
        """Write a mail as Maildir wants it: under a name of its own, whole before it is seen."""
        name = f"{time.time_ns()}.{secrets.token_hex(8)}.{HOST}"
        for folder in ("tmp", "new", "cur"):
            (self.maildir / folder).mkdir(parents=True, exist_ok=True)
        unfinished = self.maildir / "tmp" / name
        with unfinished.open("xb") as file:
            file.write(_as_stored(envelope))
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(self.maildir / "new" / name)
        return name


def _as_stored(envelope: Envelope) -> bytes:
    """Return the mail with the addresses of its envelope on top, and the lines of a file."""
    assert isinstance(envelope.content, bytes)
    top = [f"Return-Path: <{envelope.mail_from}>"]
    top += [f"Delivered-To: {address}" for address in envelope.rcpt_tos]
    return "\n".join([*top, ""]).encode() + envelope.content.replace(b"\r\n", b"\n")


# The host's name is given because aiosmtpd would ask for it at each connection, and might wait
# for a name server.
app = functools.partial(SMTP, Store(Path(os.environ.get("MAILDIR", "mail"))), hostname=HOST)
