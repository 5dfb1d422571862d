"""The fields that are one number.

RFC 3261 section 20 (Content-Length, Expires, Max-Forwards, Min-Expires), RFC 3262 (RSeq), RFC 5393
(Max-Breadth), RFC 5626 (Flow-Timer).
"""

from __future__ import annotations

from typing import Final

from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field
from ringfence.message.headers import Parse

MAX_DELTA_SECONDS = 2**32 - 1
"""Expires and its kin are "between 0 and (2**32)-1" (RFC 3261 section 20.19)."""


def number(low: int, high: int, *, clamp: bool = False) -> Parse[int]:
    """A reader of one decimal number within bounds; ``clamp`` takes a larger one as ``high``."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal()):
            raise PeerError(400, f"not a number: {text[:40]!r}")
        if len(text) > 64:
            raise PeerError(400, "a number of more than 64 digits")
        value = int(text)
        if value > high and clamp:
            return high
        if not low <= value <= high:
            raise PeerError(400, f"{value} is not between {low} and {high}")
        return value

    return parse


CONTENT_LENGTH: Final = field("Content-Length", number(0, 2**31 - 1), compact="l")
EXPIRES: Final = field("Expires", number(0, MAX_DELTA_SECONDS))
MIN_EXPIRES: Final = field("Min-Expires", number(0, MAX_DELTA_SECONDS))
MAX_FORWARDS: Final = field("Max-Forwards", number(0, 255))
MAX_BREADTH: Final = field("Max-Breadth", number(1, 2**31 - 1))
RSEQ: Final = field("RSeq", number(1, MAX_DELTA_SECONDS))
FLOW_TIMER: Final = field("Flow-Timer", number(1, MAX_DELTA_SECONDS))
