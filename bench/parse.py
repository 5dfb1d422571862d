"""What it costs to read and write messages: an INVITE with 11 header fields and its 200.

Figures are CPU microseconds, best of several rounds. Compare lines of one run; each is also given as a multiple of
the yardstick, the least that any reading in Python does: decode the header block and split it. Every message has a
branch, tags and a Call-ID of its own, so that no cache helps more than it does on a node.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from ringfence.message import Request, parse, parser, response_to
from ringfence.message.fields import CONTACT, FROM, TO
from ringfence.message.names import canonical_name
from ringfence.message.validate import validate

COUNT = 4_000
ROUNDS = 7
SDP = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
# RFC 3261 section 7.3.1, as one would write it down: a line, its name, its value without the blanks around it.
LINE = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]+)[ \t]*:[ \t]*([^\r\n]*?)[ \t]*").fullmatch


def invite(number: int) -> bytes:
    """The request of one call."""
    return (
        "INVITE sip:bob@example.net SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP pc33.example.org:5060;branch=z9hG4bK{number:012x};rport\r\n"
        "Max-Forwards: 70\r\n"
        "To: Bob <sip:bob@example.net>\r\n"
        f"From: Alice <sip:alice@example.org>;tag={number:010x}\r\n"
        f"Call-ID: a84b4c76e66710{number:08x}@pc33.example.org\r\n"
        "CSeq: 314159 INVITE\r\n"
        "Contact: <sip:alice@pc33.example.org:5060;transport=udp>\r\n"
        "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, PRACK\r\n"
        "User-Agent: Phone/1.0\r\n"
        "Content-Type: application/sdp\r\n"
        f"Content-Length: {len(SDP)}\r\n\r\n{SDP}"
    ).encode()


def split(data: bytes) -> list[str]:
    """The yardstick."""
    return data[: data.find(b"\r\n\r\n")].decode("utf-8", "surrogateescape").split("\r\n")


def by_regex(data: bytes) -> list[tuple[str, str]]:
    """Each line by a regular expression, as many parsers do it; nothing is checked as a whole, nothing is typed."""
    found = []
    for line in split(data)[1:]:
        match = LINE(line)
        assert match is not None
        found.append((canonical_name(match[1]), match[2]))
    return found


def pure(data: bytes) -> object:
    """``parse`` without the compiled part."""
    compiled, parser.scan = parser.scan, None
    try:
        return parse(data)
    finally:
        parser.scan = compiled


def addresses(data: bytes) -> object:
    """``parse``, and the addresses that a proxy may ask for."""
    headers = parse(data).headers
    return headers.first(FROM), headers.first(TO), headers.first(CONTACT)


def answered(data: bytes) -> bytes:
    """``parse``, and a response written."""
    message = parse(data)
    assert isinstance(message, Request)
    return response_to(message, 200, to_tag="z9hG4bK").to_bytes()


def main() -> None:
    """Print one line for each measure."""
    messages = [invite(number) for number in range(COUNT)]
    unit = best(split, messages)
    print("compiled scanner:", "yes" if parser.scan else "no")
    for name, measure in (
        ("yardstick: decode and split", split),
        ("each line by a regular expression", by_regex),
        ("parse, pure Python", pure),
        ("parse", parse),
        ("parse and write", lambda data: parse(data).to_bytes()),
        ("parse, and From, To, Contact read", addresses),
        ("parse and make the 200", answered),
        ("parse and validate all", lambda data: validate(parse(data))),
    ):
        cost = best(measure, messages)
        print(f"{name:44} {cost:7.2f} us {cost / unit:7.1f}")


def best(measure: Callable[[bytes], object], messages: list[bytes]) -> float:
    """The lowest of several rounds, in microseconds for one message."""
    lowest = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for data in messages:
            measure(data)
        lowest = min(lowest, time.process_time() - start)
    return lowest / len(messages) * 1e6


if __name__ == "__main__":
    main()
