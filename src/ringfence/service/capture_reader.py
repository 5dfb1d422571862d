"""The SIP messages in a capture file: datagrams and streams of others, put together as the receiver would have.

What can't be read is no error, since a capture holds whatever passed: a stream that begins or breaks off in the middle
goes on with the next message in it. TLS stays closed: for the node's own see ``ringfence trace --pcap``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final, NamedTuple

from ringfence.service.capture_file import frames
from ringfence.service.capture_packets import TCP, UDP, Packets
from ringfence.service.capture_streams import START, Segment, Streamed, Streams

SIP_PORTS: Final = frozenset({5060, 5061})
"""A datagram from or to these is SIP, whatever it looks like; another one, if it begins like SIP."""

_STUN_COOKIE: Final = b"\x21\x12\xa4\x42"
_DTLS: Final = range(20, 26)
"""The first octet of a DTLS record (RFC 9147 section 4.1)."""


class Heard(NamedTuple):
    """One message of a capture. ``source`` and ``target`` are addresses with ports; ``missing`` counts the octets at
    its end that the capture does not have, since it was made with a short snapshot length."""

    time: float
    transport: str
    source: str
    target: str
    data: bytes
    missing: int = 0

    def cut(self) -> str:
        """What to say of a message of which octets are missing."""
        return f"the capture lacks its last {self.missing} octets"

    def whole_lines(self) -> bytes:
        """The message, with the end of a header block behind its last whole line when that is missing."""
        if not self.missing or b"\r\n\r\n" in self.data:
            return self.data
        return self.data.rpartition(b"\r\n")[0] + b"\r\n\r\n"


def messages(data: bytes) -> Iterator[Heard]:
    """The SIP messages of a capture file, in the order in which their last packets came.

    Raises:
        LocalError: it is no capture.
    """
    packets, streams = Packets(), Streams()
    for frame in frames(data):
        datagram = packets.take(frame.packet)
        if datagram is None or len(datagram.payload) < 8:
            continue
        here, there = struct.unpack_from("!HH", datagram.payload)
        source, target = _named(datagram.source, here), _named(datagram.target, there)
        if datagram.protocol == UDP:
            length = max(8, struct.unpack_from("!H", datagram.payload, 4)[0])
            content = datagram.payload[8:length]
            if _is_sip(content, by_port=bool({here, there} & SIP_PORTS)):
                missing = min(datagram.missing, length - 8 - len(content))
                yield Heard(frame.time, "UDP", source, target, content, missing)
        elif datagram.protocol == TCP and len(datagram.payload) >= 20:
            yield from _heard(streams.take(Segment(frame.time, source, target, datagram.payload)))
    yield from _heard(streams.rest())


def _heard(found: Iterator[Streamed]) -> Iterator[Heard]:
    """Without what other protocols frame alike: HTTP has a Content-Length too."""
    for each in found:
        by_port = any(int(end.rpartition(":")[2]) in SIP_PORTS for end in (each.source, each.target))
        if _is_sip(each.data, by_port=by_port):
            yield Heard(*each)


def _is_sip(content: bytes, *, by_port: bool) -> bool:
    if not content.strip(b"\r\n\0"):
        return False  # a keepalive
    if START.match(content.lstrip(b"\r\n")):
        return True
    # Keepalives and NAT checks share the port (RFC 5626 section 5.4.2), and so may DTLS.
    return by_port and content[4:8] != _STUN_COOKIE and content[0] not in _DTLS


def _named(host: bytes, port: int) -> str:
    address = ip_address(host)
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
