"""G.711: PCMU and PCMA octets from and to 16-bit linear samples (ITU-T G.711; RFC 3551 section 4.5.14).

Linear audio is bytes of little-endian signed samples, as in a WAV file. Each way is a table and no loop of
our own:
decoding translates the octets twice, into low and high bytes; encoding looks each sample up in 64 KiB. A
table is made when its law is first used.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable
from functools import cached_property

__all__ = ["LAWS", "PCMA", "PCMU", "Law"]

_ULAW_BIAS = 0x84  # added before the logarithm, so that each segment begins at a power of two
_ULAW_CLIP = 8158  # the largest 14-bit magnitude that keeps the biased value in the last segment


def _ulaw_decode(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + _ULAW_BIAS << (code >> 4 & 7)) - _ULAW_BIAS
    return -magnitude if code & 0x80 else magnitude


def _ulaw_encode(sample: int) -> int:
    value, mask = (-(sample >> 2), 0x7F) if sample < 0 else (sample >> 2, 0xFF)
    value = min(value, _ULAW_CLIP) + (_ULAW_BIAS >> 2)
    segment = max(value.bit_length() - 6, 0)
    return (segment << 4 | value >> segment + 1 & 0x0F) ^ mask


def _alaw_decode(code: int) -> int:
    code ^= 0x55  # every other bit is inverted on the line
    segment = code >> 4 & 7
    magnitude = (code & 0x0F) << 4 | 8
    if segment:
        magnitude = magnitude + 0x100 << segment - 1
    return magnitude if code & 0x80 else -magnitude


def _alaw_encode(sample: int) -> int:
    value, mask = (-(sample >> 3) - 1, 0x55) if sample < 0 else (sample >> 3, 0xD5)
    segment = max(value.bit_length() - 5, 0)
    return (segment << 4 | value >> max(segment, 1) & 0x0F) ^ mask


class Law:
    """One of the two laws: its encoding name, the octet of silence, and both ways."""

    def __init__(self, encoding: str, decode: Callable[[int], int], encode: Callable[[int], int]) -> None:
        self.encoding = encoding
        self.silence = bytes([encode(0)])
        self._decode, self._encode = decode, encode

    @cached_property
    def _bytes_of_codes(self) -> tuple[bytes, bytes]:
        samples = [self._decode(code) & 0xFFFF for code in range(256)]
        return bytes(sample & 0xFF for sample in samples), bytes(sample >> 8 for sample in samples)

    @cached_property
    def _code_of_samples(self) -> bytes:
        # No law looks at the two lowest bits, so each code stands four times. Indexed by the unsigned sample.
        signed = (*range(0, 0x8000, 4), *range(-0x8000, 0, 4))
        return b"".join(bytes([self._encode(sample)]) * 4 for sample in signed)

    def decode(self, payload: bytes) -> bytes:
        """Linear samples of a payload, two bytes for each octet."""
        low, high = self._bytes_of_codes
        pcm = bytearray(2 * len(payload))
        pcm[::2] = payload.translate(low)
        pcm[1::2] = payload.translate(high)
        return bytes(pcm)

    def encode(self, pcm: bytes) -> bytes:
        """The payload for linear samples, one octet for two bytes."""
        samples = array("H", pcm)
        if sys.byteorder == "big":
            samples.byteswap()
        return bytes(map(self._code_of_samples.__getitem__, samples))


PCMU = Law("PCMU", _ulaw_decode, _ulaw_encode)
PCMA = Law("PCMA", _alaw_decode, _alaw_encode)

LAWS = {"pcmu": PCMU, "pcma": PCMA}
"""By encoding name in lower case, as an rtpmap has it (RFC 4855 section 3: names ignore case)."""
