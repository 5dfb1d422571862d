"""What goes out on an audio stream, one packet a tick: key presses, then what is played, else silence."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ringfence.client.media.dtmf import event_payloads
from ringfence.client.media.g711 import Law
from ringfence.client.media.rtp import SEQUENCES, TIMESTAMPS, RtpPacket
from ringfence.message import LocalError

__all__ = ["Playback", "Sender"]

KEY_MILLISECONDS = 100
PAUSE_MILLISECONDS = 60
"""Between key presses; receivers need 40 ms to tell two apart (ITU-T Q.24)."""


@dataclass(slots=True)
class Playback:
    """Linear audio on its way out; ``done`` is set when the last of it has been sent."""

    pcm: bytes
    done: asyncio.Future[None]
    at: int = 0


class Sender:
    """The RTP state of our side of a stream (RFC 3550 section 5.1)."""

    def __init__(self, token: Callable[[int], bytes]) -> None:
        self.ssrc = int.from_bytes(token(4), "big")
        # RFC 4568 section 6.4: an SRTP receiver that misses the first packets must not guess a wrap.
        self._sequence = int.from_bytes(token(2), "big") & 0x7FFF
        self._timestamp = int.from_bytes(token(4), "big")
        self.packets = self.octets = 0
        self.samples = 160
        self.queue: deque[Playback] = deque()
        self._law: Law | None = None
        self._type = 0
        self._event_type: int | None = None
        self._keys: deque[str] = deque()
        self._event: Iterator[bytes] | None = None
        self._event_start = 0
        self._pause = 0  # samples before the next key
        self._marker = True  # the next packet begins a talkspurt

    @property
    def timestamp(self) -> int:
        """The media clock: that of the next packet."""
        return self._timestamp

    def configure(self, law: Law, payload_type: int, event_type: int | None, samples: int) -> None:
        """Send in this format from now on, events under the second type, this many samples a packet."""
        self._law, self._type, self._event_type, self.samples = law, payload_type, event_type, samples

    def press(self, keys: str) -> None:
        """Send key presses as telephone events, after those that wait.

        Raises:
            LocalError: The peer takes no events, or one is no key.
        """
        if self._event_type is None:
            raise LocalError("the peer takes no telephone events")
        for key in keys:
            next(event_payloads(key))  # all are checked before the first one goes out
        self._keys.extend(keys)

    def skip(self, ticks: int = 1) -> None:
        """Let media time pass without a packet."""
        self._timestamp = (self._timestamp + ticks * self.samples) % TIMESTAMPS
        self._marker = True

    def tick(self) -> RtpPacket | None:
        """The packet of this tick; None before a format is agreed."""
        if self._law is None:
            self.skip()
            return None
        packet = self._event_packet() or self._audio_packet(self._law)
        self._timestamp = (self._timestamp + self.samples) % TIMESTAMPS
        self._sequence = (self._sequence + 1) % SEQUENCES
        self.packets += 1
        self.octets += len(packet.payload)
        return packet

    def _event_packet(self) -> RtpPacket | None:
        first = False
        if self._event is None:
            self._pause -= self.samples
            if not self._keys or self._pause > 0 or self._event_type is None:
                return None
            self._event = event_payloads(self._keys.popleft(), KEY_MILLISECONDS, self.samples)
            self._event_start = self._timestamp
            first = True
        payload = next(self._event, None)
        if payload is None or self._event_type is None:
            self._event = None
            self._pause = 8 * PAUSE_MILLISECONDS
            return None
        # All packets of one press share the timestamp of its start (RFC 4733 section 2.2).
        return RtpPacket(self._event_type, self._sequence, self._event_start, self.ssrc, payload, first)

    def _audio_packet(self, law: Law) -> RtpPacket:
        marker, self._marker = self._marker, False
        payload = self._next_payload(law)
        return RtpPacket(self._type, self._sequence, self._timestamp, self.ssrc, payload, marker)

    def _next_payload(self, law: Law) -> bytes:
        if not self.queue:
            return law.silence * self.samples
        playback = self.queue[0]
        pcm = playback.pcm[playback.at : playback.at + 2 * self.samples]
        playback.at += len(pcm)
        if playback.at >= len(playback.pcm):
            self.queue.popleft()
            if not playback.done.done():
                playback.done.set_result(None)
        return law.encode(pcm).ljust(self.samples, law.silence)
