"""Malformed messages at a served node: it stays up, its memory stays flat, and whoever can be answered is."""

from __future__ import annotations

import itertools
import re
import select
import socket
import ssl
from collections.abc import Iterator
from functools import partial

import pytest

from tests.interop.node import Node
from tests.interop.processes import HOST, PATIENCE
from tests.torture.malformed import cases, noise

LARGEST_DATAGRAM = 65_507
GROWTH = 8_000_000
"""Bytes that the node may have more after a second round than after the first: nothing but the allocator's luck.
A round sends some 25 MB, so a node that kept a third of what it was sent would be found out."""

NAMES_WHOM_TO_ANSWER = {"Via", "From", "To", "Call-ID", "CSeq", "Content-Length"}
"""Header fields whose faults may leave nobody, or no way, to answer: a response copies the first five
(RFC 3261 section 8.2.6.2), and the last says where a message ends on a stream."""

PROBE = (
    "OPTIONS sip:{domain} SIP/2.0\r\nVia: SIP/2.0/{transport} {host}:{port};branch=z9hG4bKprobe{number}\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:probe@{domain}>;tag=1\r\nTo: <sip:{domain}>\r\nCall-ID: probe{number}\r\n"
    "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


_numbers = itertools.count(1)


def messages(transport: str, port: int) -> Iterator[tuple[str, bytes, bool]]:
    """Each message with a Call-ID of its own and our address, and whether it has to be answered."""
    for case in cases():
        number = next(_numbers)
        answerable = case.header is not None and case.header not in NAMES_WHOM_TO_ANSWER
        yield f"case{number}", mine(case.data, number, transport, port), answerable
    for data in noise():
        number = next(_numbers)
        yield f"case{number}", mine(data, number, transport, port), False


def mine(data: bytes, number: int, transport: str, port: int) -> bytes:
    """The message as we would send it, unless the fault is just there."""
    via = f"SIP/2.0/{transport} {HOST}:{port};rport;branch=z9hG4bKmal{number}".encode()
    data = data.replace(b"SIP/2.0/UDP pc33.example.org;branch=z9hG4bK776asdhds", via)
    return data.replace(b"a84b4c76e66710@pc33.example.org", b"case%d" % number)


def statuses(data: bytes) -> dict[str, int]:
    """Call-ID and status of each response in these bytes."""
    found = re.finditer(rb"SIP/2\.0 (\d{3}) .*?\r\nCall-ID: ([^\r\n]*)", data, re.DOTALL)
    return {match[2].decode(): int(match[1]) for match in found}


def over_udp(node: Node) -> None:
    """Send every message; after each, an OPTIONS, whose answer tells that the message has been dealt with."""
    answers: dict[str, int] = {}
    owed = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HOST, 0))
        sock.settimeout(PATIENCE)
        port = sock.getsockname()[1]
        for number, (name, data, answerable) in enumerate(messages("UDP", port)):
            if len(data) <= LARGEST_DATAGRAM:
                owed |= {name} if answerable else set()
                sock.sendto(data, (HOST, node.listen["udp"]))
                text = PROBE.format(domain=node.domain, transport="UDP", host=HOST, port=port, number=number)
                sock.sendto(text.encode(), (HOST, node.listen["udp"]))
                while f"probe{number}" not in answers:
                    answers |= statuses(sock.recv(65_535))
    judge(owed, answers)


def over_streams(node: Node, transport: str) -> None:
    """Send every message on a connection of its own, since most of them end it."""
    answers: dict[str, int] = {}
    owed = set()
    for name, data, answerable in messages(transport.upper(), 9):
        with node.connect(transport) as sock:
            owed |= {name} if answerable else set()
            try:
                sock.sendall(data)
                read(sock, name, answers, PATIENCE if answerable else 0.002)
            except (ConnectionError, ssl.SSLError):
                continue  # it was cut off while we were still sending
    judge(owed, answers)


def read(sock: socket.socket, name: str, answers: dict[str, int], seconds: float) -> None:
    """Read until the message is answered, the connection ends, or there is nothing for so long."""
    data = b""
    while name not in answers and select.select([sock], [], [], seconds)[0]:
        more = sock.recv(65_536)
        if not more:
            return
        data += more
        answers |= statuses(data)


def judge(owed: set[str], answers: dict[str, int]) -> None:
    """Nothing malformed succeeds, and what can be answered is."""
    found = {name: status for name, status in answers.items() if name.startswith("case")}
    assert {name: status for name, status in found.items() if not 400 <= status < 600} == {}
    assert len(owed) > 500
    assert owed - found.keys() == set()


@pytest.mark.rfc("3261", "8.2.6.2")
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_malformed_messages(node: Node, transport: str) -> None:
    send = over_udp if transport == "udp" else partial(over_streams, transport=transport)
    send(node)
    before = node.resident()
    send(node)
    assert node.serving is not None
    assert node.serving.running
    assert node.resident() - before < GROWTH
    assert "Traceback" not in node.serving.log.read_text()
