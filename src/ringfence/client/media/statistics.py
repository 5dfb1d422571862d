"""The figures of an audio stream."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Statistics"]


@dataclass(slots=True, frozen=True)
class Statistics:
    """Counts since the start; times in seconds."""

    sent: int
    received: int
    lost: int
    late: int  # arrived after their turn, or twice
    dropped: int  # from another address, in another format, or not authentic
    octets_sent: int
    octets_received: int
    jitter: float
    round_trip: float | None  # None: no report that tells it yet
    peer_lost: int | None  # of our packets, as the peer last reported
    silent_for: float | None  # since the last packet; None: none yet
