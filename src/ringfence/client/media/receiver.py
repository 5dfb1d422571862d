"""What comes in on an audio stream: counted, put in order, decoded, recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from ringfence.client.media.dtmf import EventReader
from ringfence.client.media.g711 import Law
from ringfence.client.media.reorder import ReorderBuffer
from ringfence.client.media.rtp import Reception, RtpPacket
from ringfence.client.media.wav import Recorder

__all__ = ["Receiver"]

MAX_KEYS = 256
"""Key presses that nobody has asked for yet; more are dropped, as a peer can send them without end."""


class Receiver:
    """The peer's side of a stream, in the formats that we said we take."""

    def __init__(self) -> None:
        self.source: Reception | None = None
        self.octets = 0
        self.recorder: Recorder | None = None
        self.keys: asyncio.Queue[str] = asyncio.Queue(MAX_KEYS)
        self._laws: Mapping[int, Law] = {}
        self._event_types: frozenset[int] = frozenset()
        self._events = EventReader()
        self._order = ReorderBuffer()
        self._earlier_received = self._earlier_lost = self._earlier_late = 0

    def configure(self, laws: Mapping[int, Law], event_types: frozenset[int]) -> None:
        """Take these payload types from now on, and those of before too: packets under way are still good.

        RFC 3264 section 8.3.2.
        """
        self._laws = {**self._laws, **laws}
        self._event_types |= event_types

    def takes(self, packet: RtpPacket) -> bool:
        """The packet has a format of ours."""
        return packet.payload_type in self._laws or packet.payload_type in self._event_types

    def receive(self, packet: RtpPacket, arrival: float) -> None:
        """Take a packet that arrived at this time, in seconds."""
        source = self.source
        if source is None or source.ssrc != packet.ssrc:
            source = self._change_source(packet)
        self.octets += len(packet.payload)
        timestamp = packet.timestamp if packet.payload_type in self._laws else None
        sequence = source.receive(packet.sequence, timestamp, arrival)
        if sequence is None:
            return
        if source.received == 1:
            self._order.flush()  # the source has restarted, and so have its numbers
        for ready in self._order.push(sequence, packet):
            self._play(ready)

    def _change_source(self, packet: RtpPacket) -> Reception:
        self.flush()
        if self.source is not None:
            self._earlier_received += self.source.received
            self._earlier_lost += max(self.source.lost, 0)
        self._earlier_late += self._order.late
        self._order = ReorderBuffer()
        self._events = EventReader()
        if self.recorder is not None:
            self.recorder.restart()
        self.source = Reception(packet.ssrc, packet.sequence)
        return self.source

    def _play(self, packet: RtpPacket) -> None:
        law = self._laws.get(packet.payload_type)
        if law is not None:
            if self.recorder is not None:
                self.recorder.write(packet.timestamp, law.decode(packet.payload))
            return
        key = self._events.receive(packet.timestamp, packet.payload)
        if key is not None and not self.keys.full():
            self.keys.put_nowait(key)

    def flush(self) -> None:
        """Play what still waits for packets that overtook it."""
        for packet in self._order.flush():
            self._play(packet)

    @property
    def received(self) -> int:
        """Packets that have arrived, of all sources."""
        return self._earlier_received + (self.source.received if self.source else 0)

    @property
    def lost(self) -> int:
        """Packets that have not, of all sources."""
        return self._earlier_lost + (max(self.source.lost, 0) if self.source else 0)

    @property
    def late(self) -> int:
        """Packets that came after their turn, or twice."""
        return self._earlier_late + self._order.late

    @property
    def jitter(self) -> float:
        """How unevenly packets of the present source arrive, in seconds (RFC 3550 section 6.4.1)."""
        return self.source.jitter / self.source.clock_rate if self.source else 0.0
