"""One message as Homer takes it: HEP version 3, a header and chunks (https://github.com/sipcapture/HEP).

A chunk is vendor, type, length with these six octets, value; all numbers are big-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from socket import IPPROTO_TCP, IPPROTO_UDP

FAMILY, PROTOCOL = 1, 2
SOURCE_4, TARGET_4, SOURCE_6, TARGET_6 = 3, 4, 5, 6
SOURCE_PORT, TARGET_PORT = 7, 8
SECONDS, MICROSECONDS = 9, 10
KIND, CAPTURE_ID = 11, 12
KEY, PAYLOAD = 14, 15
CORRELATION = 17
NODE_NAME = 19

SIP = 1
"""Value of `KIND`."""

INTERNET_4, INTERNET_6 = 2, 10
"""Values of `FAMILY`: AF_INET and AF_INET6 as Linux has them, whatever system this is."""

MAX_PACKET = 65_507
"""Octets: what one UDP datagram carries; the length of a packet has two octets in any case."""

_GENERIC = 0
"""The vendor of chunks that everybody knows."""

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Seen:
    """One message between two places, which are of one family. `time` is in seconds since the epoch."""

    time: float
    source: tuple[Address, int]
    target: tuple[Address, int]
    reliable: bool
    payload: bytes
    correlation: str


@dataclass(frozen=True, slots=True)
class Agent:
    """Who tells: this node, as the server knows it."""

    capture_id: int
    key: bytes = b""
    name: str = ""


def packet(seen: Seen, agent: Agent) -> bytes:
    """The message as one packet. What does not fit is cut from the end of the payload."""
    (source, source_port), (target, target_port) = seen.source, seen.target
    old = source.version == 4
    seconds, fraction = divmod(seen.time, 1)
    chunks = [
        _chunk(FAMILY, struct.pack("!B", INTERNET_4 if old else INTERNET_6)),
        _chunk(PROTOCOL, struct.pack("!B", IPPROTO_TCP if seen.reliable else IPPROTO_UDP)),
        _chunk(SOURCE_4 if old else SOURCE_6, source.packed),
        _chunk(TARGET_4 if old else TARGET_6, target.packed),
        _chunk(SOURCE_PORT, struct.pack("!H", source_port)),
        _chunk(TARGET_PORT, struct.pack("!H", target_port)),
        _chunk(SECONDS, struct.pack("!I", int(seconds))),
        _chunk(MICROSECONDS, struct.pack("!I", int(fraction * 1_000_000))),
        _chunk(KIND, struct.pack("!B", SIP)),
        _chunk(CAPTURE_ID, struct.pack("!I", agent.capture_id)),
    ]
    if agent.key:
        chunks.append(_chunk(KEY, agent.key))
    if seen.correlation:
        chunks.append(_chunk(CORRELATION, seen.correlation.encode("utf-8", "surrogateescape")[:1024]))
    if agent.name:
        chunks.append(_chunk(NODE_NAME, agent.name.encode()))
    head = b"".join(chunks)
    body = _chunk(PAYLOAD, seen.payload[: MAX_PACKET - len(head) - 12])
    return b"HEP3" + struct.pack("!H", 6 + len(head) + len(body)) + head + body


def _chunk(kind: int, value: bytes) -> bytes:
    return struct.pack("!HHH", _GENERIC, kind, 6 + len(value)) + value
