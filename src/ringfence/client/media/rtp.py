"""RTP packets and the statistics of one received source (RFC 3550 section 5.1 and appendix A)."""

from __future__ import annotations

import struct
from typing import NamedTuple

__all__ = ["Reception", "Report", "RtpPacket", "is_rtcp", "pack", "unpack"]

HEADER = struct.Struct("!BBHII")
SEQUENCES = 1 << 16
TIMESTAMPS = 1 << 32

MAX_DROPOUT = 3000
"""A jump ahead of this many packets is still loss; beyond, the source may have restarted (RFC 3550 A.1)."""
MAX_MISORDER = 100
"""A packet this far behind is late; beyond, the source may have restarted (RFC 3550 A.1)."""


class RtpPacket(NamedTuple):
    """One packet. CSRC list, header extension and padding are skipped: no format that we have uses them."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False


def pack(packet: RtpPacket) -> bytes:
    """The packet as bytes (RFC 3550 section 5.1)."""
    kind = packet.payload_type | 0x80 if packet.marker else packet.payload_type
    return HEADER.pack(0x80, kind, packet.sequence, packet.timestamp, packet.ssrc) + packet.payload


def unpack(data: bytes) -> RtpPacket | None:
    """Read a packet; None when it is not a whole RTP packet of version 2 (RFC 3550 appendix A.1)."""
    if len(data) < 12 or data[0] >> 6 != 2:
        return None
    first, kind, sequence, timestamp, ssrc = HEADER.unpack_from(data)
    start, end = 12 + 4 * (first & 0x0F), len(data)
    if first & 0x10:  # header extension
        if start + 4 > end:
            return None
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    if first & 0x20:  # padding, whose last octet counts it
        padding = data[-1]
        if not padding:
            return None
        end -= padding
    if start > end:
        return None
    return RtpPacket(kind & 0x7F, sequence, timestamp, ssrc, data[start:end], kind >= 0x80)


def is_rtcp(data: bytes) -> bool:
    """Where RTP and RTCP share a port, this tells them apart (RFC 5761 section 4)."""
    return len(data) > 1 and 192 <= data[1] <= 223


class Report(NamedTuple):
    """What one side saw of the other's packets: a report block of RTCP (RFC 3550 section 6.4.1)."""

    ssrc: int
    fraction_lost: int  # of 256, since the last report
    lost: int
    highest: int  # extended sequence number
    jitter: int  # in timestamp units
    last_sr: int = 0  # the middle 32 bits of the NTP time of the last sender report
    delay: int = 0  # since then, in 1/65536 s


class Reception:
    """The state of one source as we receive it (RFC 3550 appendices A.1, A.3 and A.8).

    There is no probation for new sources: whoever calls has checked where the packets come from.
    """

    __slots__ = (
        "_bad",
        "_base",
        "_cycles",
        "_expected",
        "_max",
        "_reported",
        "_transit",
        "clock_rate",
        "jitter",
        "received",
        "ssrc",
    )

    def __init__(self, ssrc: int, sequence: int, clock_rate: int = 8000) -> None:
        self.ssrc = ssrc
        self.clock_rate = clock_rate
        self.jitter = 0.0  # in timestamp units
        self._transit: float | None = None
        self._restart(sequence)

    def _restart(self, sequence: int) -> None:
        self._base = self._max = sequence
        self._bad: int | None = None
        self._cycles = self.received = self._expected = self._reported = 0

    def receive(self, sequence: int, timestamp: int | None, arrival: float) -> int | None:
        """Count a packet that arrived at this time, in seconds. Gives its extended sequence number.

        None when the number is out of all order, and the packet is not to be played. ``timestamp`` is None
        for packets that tell nothing of jitter: telephone events share one timestamp.
        """
        delta = sequence - self._max & 0xFFFF
        if delta < MAX_DROPOUT:
            if sequence < self._max:
                self._cycles += SEQUENCES
            self._max = sequence
        elif delta <= SEQUENCES - MAX_MISORDER:
            if sequence != self._bad:
                self._bad = sequence + 1 & 0xFFFF
                return None
            self._restart(sequence)  # two in sequence: the other side started anew
        self.received += 1
        if timestamp is not None:
            self._measure(timestamp, arrival)
        extended = self._cycles + sequence
        return extended if sequence <= self._max else extended - SEQUENCES  # late, from before the wrap

    def _measure(self, timestamp: int, arrival: float) -> None:
        transit = arrival * self.clock_rate - timestamp
        if self._transit is not None:
            # Modulo 2^32, as both clocks wrap.
            change = (transit - self._transit + TIMESTAMPS / 2) % TIMESTAMPS - TIMESTAMPS / 2
            self.jitter += (abs(change) - self.jitter) / 16
        self._transit = transit

    @property
    def expected(self) -> int:
        """Packets that the other side has sent, by its numbers."""
        return self._cycles + self._max - self._base + 1 if self.received else 0

    @property
    def lost(self) -> int:
        """Packets that did not arrive; negative when there were duplicates."""
        return self.expected - self.received

    def report(self, last_sr: int = 0, delay: int = 0) -> Report:
        """The report block for this source, and the start of the next interval."""
        expected, received = self.expected - self._expected, self.received - self._reported
        self._expected, self._reported = self.expected, self.received
        fraction = 256 * (expected - received) // expected if expected > received else 0
        lost = max(-0x800000, min(self.lost, 0x7FFFFF))
        highest = self._cycles + self._max & 0xFFFFFFFF
        return Report(self.ssrc, min(fraction, 255), lost, highest, int(self.jitter), last_sr, delay)
