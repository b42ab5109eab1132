"""A small name server: answers questions for A and TXT records from a table.

prefork serve examples/udp_dns.py --bind udp://127.0.0.1:5300
dig @127.0.0.1 -p 5300 www.example.test A
"""

import ipaddress
import struct

TTL = 60
A, TXT, IN = 1, 16, 1
NO_ERROR, FORMAT_ERROR, NO_SUCH_NAME, NOT_IMPLEMENTED = 0, 1, 3, 4

#: What is known of each name, by the type of the record.
TABLE = {
    "www.example.test": {A: ["192.0.2.1", "192.0.2.2"]},
    "example.test": {A: ["192.0.2.1"], TXT: ["prefork serves datagrams"]},
}

HEADER = struct.Struct("!6H")


def handle(data, address, reply):
    """Answer one message (RFC 1035); one that is no query gets no answer."""
    if len(data) < HEADER.size:
        return
    number, flags, questions, *_ = HEADER.unpack_from(data)
    if flags & 0x8000:  # an answer
        return
    try:
        name, kind, end = question(data)
    except (IndexError, struct.error, UnicodeDecodeError):
        questions = 0
    if questions != 1:
        reply(response(number, flags, FORMAT_ERROR))
        return
    known = TABLE.get(name)
    if flags & 0x7800:  # no standard query
        code, known = NOT_IMPLEMENTED, None
    else:
        code = NO_SUCH_NAME if known is None else NO_ERROR
    records = [record(kind, value) for value in (known or {}).get(kind, ())]
    reply(response(number, flags, code, data[HEADER.size : end], records))


def question(data):
    """Return name and type of the first question, and where it ends."""
    labels = []
    position = HEADER.size
    while length := data[position]:
        label = data[position + 1 : position + 1 + length]
        labels.append(label.decode("ascii").lower())
        position += 1 + length
    kind, _ = struct.unpack_from("!2H", data, position + 1)
    return ".".join(labels), kind, position + 5


def record(kind, value):
    """Return an answer to the question that the message begins with."""
    if kind == A:
        content = ipaddress.IPv4Address(value).packed
    else:
        content = bytes([len(value)]) + value.encode("ascii")
    return struct.pack("!3HIH", 0xC000 | HEADER.size, kind, IN, TTL, len(content)) + content


def response(number, flags, code, asked=b"", records=()):
    """Return a message that answers message ``number``, with authority."""
    flags = 0x8400 | flags & 0x7900 | code  # what was asked for, and with recursion or not
    return HEADER.pack(number, flags, bool(asked), len(records), 0, 0) + asked + b"".join(records)
