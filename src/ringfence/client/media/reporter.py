"""Our RTCP reports, and what those of the peer tell (RFC 3550 section 6.4)."""

from __future__ import annotations

from ringfence.client.media import rtcp
from ringfence.client.media.receiver import Receiver
from ringfence.client.media.sender import Sender

__all__ = ["Reporter"]


class Reporter:
    """The RTCP state of one stream. Clock times are monotonic seconds, wall times Unix time."""

    __slots__ = ("_cname", "_last_sr", "_last_sr_clock", "peer_lost", "round_trip")

    def __init__(self, cname: str) -> None:
        self._cname = cname
        self._last_sr = 0  # the middle of the NTP time of the peer's last sender report
        self._last_sr_clock = 0.0
        self.round_trip: float | None = None  # seconds
        self.peer_lost: int | None = None  # packets of ours, as the peer counts

    def report(
        self, sender: Sender, receiver: Receiver, clock: float, wall: float, bye: bool = False
    ) -> bytes:
        """The compound packet to send now: a sender report when we have sent, else a receiver report."""
        delay = int((clock - self._last_sr_clock) * 65_536) & 0xFFFF_FFFF if self._last_sr else 0
        info = rtcp.SenderInfo(rtcp.ntp(wall), sender.timestamp, sender.packets, sender.octets & 0xFFFF_FFFF)
        source = receiver.source
        return rtcp.pack(
            rtcp.Compound(
                sender.ssrc,
                info if sender.packets else None,
                [source.report(self._last_sr, delay)] if source else [],
                self._cname,
                bye,
            )
        )

    def receive(self, data: bytes, ssrc: int, clock: float, wall: float) -> bool:
        """Read a compound packet of the peer, ``ssrc`` being ours; False when it is none."""
        compound = rtcp.unpack(data)
        if compound is None:
            return False
        if compound.sender is not None:
            self._last_sr, self._last_sr_clock = rtcp.ntp_middle(compound.sender.ntp), clock
        for report in compound.reports:
            if report.ssrc == ssrc:
                self.peer_lost = report.lost
                self.round_trip = rtcp.round_trip(report, wall) or self.round_trip
        return True
