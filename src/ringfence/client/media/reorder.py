"""Puts packets back in order, and gives up on those that do not come."""

from __future__ import annotations

from ringfence.client.media.rtp import RtpPacket

__all__ = ["ReorderBuffer"]

DEPTH = 5
"""Packets that may overtake a missing one, 100 ms of them: later, playing on is better than waiting."""


class ReorderBuffer:
    """A packet in order passes at once; one that overtook others waits for them, but for no more than ``DEPTH``."""

    __slots__ = ("_next", "_waiting", "late")

    def __init__(self) -> None:
        self._next: int | None = None
        self._waiting: dict[int, RtpPacket] = {}
        self.late = 0  # packets that came after their turn, or twice

    def push(self, sequence: int, packet: RtpPacket) -> list[RtpPacket]:
        """Take the packet with this extended sequence number; gives those whose turn it is, in order."""
        if self._next is None:
            self._next = sequence
        if sequence < self._next or sequence in self._waiting:
            self.late += 1
            return []
        self._waiting[sequence] = packet
        if len(self._waiting) > DEPTH:
            self._next = min(self._waiting)
        ready = []
        while self._next in self._waiting:
            ready.append(self._waiting.pop(self._next))
            self._next += 1
        return ready

    def flush(self) -> list[RtpPacket]:
        """Give what still waits, in order; the source has ended or changed."""
        ready = [self._waiting[sequence] for sequence in sorted(self._waiting)]
        self._waiting.clear()
        self._next = None
        return ready
