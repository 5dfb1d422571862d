"""RTCP that does not tell who sends it (RFC 3550 section 6): CNAMEs replaced, names, places and tools left out.

Sender and receiver reports pass, since the quality of a call depends on them, and so does feedback (RFC 4585). What an
application defines, and types that we do not know, go: nobody here can say what is in them. SRTCP can't be read and is
not for this.
"""

from __future__ import annotations

import struct

__all__ = ["is_rtcp", "without_names"]

SR, RR, SDES, BYE = 200, 201, 202, 203
_REPORTS = {SR: 28, RR: 8}
"""Octets before the report blocks of 24 octets; what follows those is an extension that may say anything."""
_FEEDBACK = frozenset({205, 206, 207})
"""On transport and payload (RFC 4585), and extended reports (RFC 3611)."""

CNAME = 1


def is_rtcp(data: bytes) -> bool:
    """Whether a packet is RTCP, on a port that may have both (RFC 5761 section 4)."""
    return len(data) >= 8 and data[0] >> 6 == 2 and 192 <= data[1] <= 223


def without_names(data: bytes, cname: bytes) -> bytes | None:
    """A compound packet with this CNAME (at most 255 octets) for every source, and nothing else about it.

    None when it is malformed or padded: padding hides what is in it from a reader that believes the count.
    """
    kept: list[bytes] = []
    at = 0
    while at < len(data):
        if at + 4 > len(data) or data[at] >> 6 != 2 or data[at] & 0x20:
            return None
        size = 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
        packet = data[at : at + size]
        if len(packet) < size:
            return None
        kind, count = packet[1], packet[0] & 0x1F
        if kind in _REPORTS:
            known = _REPORTS[kind] + 24 * count
            if size < known:
                return None
            kept.append(packet[:2] + (known // 4 - 1).to_bytes(2, "big") + packet[4:known])
        elif kind in _FEEDBACK:
            kept.append(packet)
        elif kind == SDES:
            sources = _sources(packet, count)
            if sources is None:
                return None
            kept.append(_named(sources, cname))
        elif kind == BYE:
            if size < 4 + 4 * count:
                return None
            kept.append(struct.pack("!BBH", 0x80 | count, BYE, count) + packet[4 : 4 + 4 * count])
        at += size
    return b"".join(kept) or None


def _sources(packet: bytes, count: int) -> list[bytes] | None:
    """The SSRCs of an SDES packet. Each chunk is an SSRC, items, and one to four zeros up to a word."""
    sources = []
    at = 4
    for _ in range(count):
        if at + 8 > len(packet):
            return None
        sources.append(packet[at : at + 4])
        at += 4
        while at < len(packet) and packet[at]:
            if at + 2 > len(packet):
                return None
            at += 2 + packet[at + 1]
        at += 4 - at % 4
        if at > len(packet):
            return None
    return sources


def _named(sources: list[bytes], cname: bytes) -> bytes:
    item = struct.pack("!BB", CNAME, len(cname)) + cname
    item += bytes(4 - len(item) % 4)
    chunks = b"".join(source + item for source in sources)
    return struct.pack("!BBH", 0x80 | len(sources), SDES, len(chunks) // 4) + chunks
