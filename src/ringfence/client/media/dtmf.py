"""Telephone events: keys pressed on a phone, as RTP payload (RFC 4733)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ringfence.message import LocalError

__all__ = ["KEYS", "EventReader", "event_payloads"]

KEYS = "0123456789*#ABCD"
"""Events 0 to 15 (RFC 4733 section 3.2); event 16, a hook flash, has no key."""

VOLUME = 10  # minus dBm0, of 0 to 63 (RFC 4733 section 2.3.3)
END_PACKETS = 3
"""The last packet goes out this often, as its loss would leave the tone on (RFC 4733 section 2.5.1.4)."""

_PAYLOAD = struct.Struct("!BBH")


def event_payloads(
    key: str, milliseconds: int = 100, step: int = 160, clock_rate: int = 8000
) -> Iterator[bytes]:
    """The payloads of one key press, to be sent one every ``step`` samples under one timestamp.

    The first belongs in a packet with the marker bit. Raises LocalError for what is no key.
    """
    event = KEYS.find(key.upper()) if len(key) == 1 else -1
    if event < 0:
        raise LocalError(f"{key!r} is not one of the keys {KEYS}")
    total = max(step, min(clock_rate * milliseconds // 1000, 0xFFFF))
    for duration in range(step, total, step):
        yield _PAYLOAD.pack(event, VOLUME, duration)
    for _ in range(END_PACKETS):
        yield _PAYLOAD.pack(event, 0x80 | VOLUME, total)


class EventReader:
    """Tells new key presses from the repeated packets of the last one, which share its timestamp."""

    __slots__ = ("_timestamp",)

    def __init__(self) -> None:
        self._timestamp: int | None = None

    def receive(self, timestamp: int, payload: bytes) -> str | None:
        """The key that this packet tells for the first time, else None."""
        if len(payload) < _PAYLOAD.size or payload[0] >= len(KEYS):
            return None
        # A packet of an earlier press that comes late is not a new one. Timestamps wrap.
        if self._timestamp is not None and not 0 < timestamp - self._timestamp & 0xFFFFFFFF < 1 << 31:
            return None
        self._timestamp = timestamp
        return KEYS[payload[0]]
