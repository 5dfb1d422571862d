"""RTCP: compound packets of reports, a CNAME and a goodbye (RFC 3550 section 6)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ringfence.client.media.rtp import Report

__all__ = ["Compound", "SenderInfo", "interval", "ntp", "ntp_middle", "pack", "round_trip", "unpack"]

SR, RR, SDES, BYE = 200, 201, 202, 203
CNAME = 1
NTP_EPOCH = 2_208_988_800
"""Seconds from 1900, the epoch of NTP, to 1970, that of Unix time."""
MIN_INTERVAL = 5.0
"""Seconds between reports of one participant (RFC 3550 section 6.2). Two parties never need longer ones."""

_HEADER = struct.Struct("!BBHI")
_SENDER = struct.Struct("!QIII")
_BLOCK = struct.Struct("!IIIIII")


class SenderInfo(NamedTuple):
    """What a sender says of its own packets: wall clock and media clock at one moment, and counts."""

    ntp: int  # 64 bits, 32 of them a fraction
    timestamp: int
    packets: int
    octets: int


@dataclass(slots=True)
class Compound:
    """One compound packet, as far as it concerns us."""

    ssrc: int
    sender: SenderInfo | None = None  # None: a receiver report
    reports: list[Report] = field(default_factory=list)
    cname: str | None = None
    bye: bool = False


def ntp(now: float) -> int:
    """Unix time as a 64-bit NTP timestamp."""
    return int((now + NTP_EPOCH) * (1 << 32)) & 0xFFFF_FFFF_FFFF_FFFF


def ntp_middle(timestamp: int) -> int:
    """The middle 32 bits of an NTP timestamp, in 1/65536 s."""
    return timestamp >> 16 & 0xFFFF_FFFF


def round_trip(report: Report, now: float) -> float | None:
    """Seconds to the other side and back, from its report on our last one (RFC 3550 section 6.4.1)."""
    if not report.last_sr:
        return None
    ticks = ntp_middle(ntp(now)) - report.last_sr - report.delay & 0xFFFF_FFFF
    return ticks / 65_536 if ticks < 1 << 31 else None


def interval(random: float, first: bool = False) -> float:
    """Seconds to the next report, by a random number from 0 to 1: half to one and a half of the minimum.

    RFC 3550 section 6.3.1, with the first report after half that and the correction for reconsideration left
    out, as a call has two members.
    """
    return MIN_INTERVAL * (0.5 + random) * (0.5 if first else 1.0)


def pack(compound: Compound) -> bytes:
    """The compound packet as bytes: a report first, then the CNAME, then the goodbye (RFC 3550 section 6.1)."""
    sender = b"" if compound.sender is None else _SENDER.pack(*compound.sender)
    blocks = b"".join(map(_block, compound.reports))
    kind = RR if compound.sender is None else SR
    packets = [_packet(kind, len(compound.reports), compound.ssrc, sender + blocks)]
    if compound.cname is not None:
        name = compound.cname.encode()
        chunk = bytes((CNAME, len(name))) + name
        # The list ends with a null octet, and more of them up to the next 32 bits (section 6.5).
        packets.append(_packet(SDES, 1, compound.ssrc, chunk + bytes(4 - len(chunk) % 4)))
    if compound.bye:
        packets.append(_packet(BYE, 1, compound.ssrc, b""))
    return b"".join(packets)


def _packet(kind: int, count: int, ssrc: int, content: bytes) -> bytes:
    return _HEADER.pack(0x80 | count, kind, 1 + len(content) // 4, ssrc) + content


def _block(report: Report) -> bytes:
    loss = report.fraction_lost << 24 | report.lost & 0xFFFFFF
    return _BLOCK.pack(report.ssrc, loss, report.highest, report.jitter, report.last_sr, report.delay)


def unpack(data: bytes) -> Compound | None:
    """Read a compound packet; None when it fails the checks of RFC 3550 appendix A.2.

    Reduced-size packets (RFC 5506), which do not begin with a report, are read as well.
    """
    compound: Compound | None = None
    position = 0
    while position + 8 <= len(data):
        first, kind, words, ssrc = _HEADER.unpack_from(data, position)
        end = position + 4 * (words + 1)
        if first >> 6 != 2 or end > len(data) or (first & 0x20 and end != len(data)):
            return None
        if compound is None:
            compound = Compound(ssrc)
        _read(compound, kind, first & 0x1F, data[position + 8 : end])
        position = end
    return compound if position == len(data) else None


def _read(compound: Compound, kind: int, count: int, content: bytes) -> None:
    """Take from one packet what we use; what is cut short or unknown is skipped."""
    if kind in (SR, RR):
        if kind == SR and len(content) >= _SENDER.size:
            compound.sender = SenderInfo(*_SENDER.unpack_from(content))
            content = content[_SENDER.size :]
        compound.reports.extend(_reports(content, count))
    elif kind == SDES and len(content) > 2 and content[0] == CNAME:
        compound.cname = content[2 : 2 + content[1]].decode("utf-8", "replace")
    elif kind == BYE:
        compound.bye = True


def _reports(content: bytes, count: int) -> Sequence[Report]:
    blocks = []
    for start in range(0, min(count, len(content) // _BLOCK.size) * _BLOCK.size, _BLOCK.size):
        ssrc, loss, highest, jitter, last_sr, delay = _BLOCK.unpack_from(content, start)
        lost = (loss & 0xFFFFFF ^ 0x800000) - 0x800000  # 24 bits, signed
        blocks.append(Report(ssrc, loss >> 24, lost, highest, jitter, last_sr, delay))
    return blocks
