"""CSeq (RFC 3261 section 20.16)."""

from __future__ import annotations

import re
from typing import Final

from ringfence.message import grammar
from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field

# CSeq = 1*DIGIT LWS Method
_CSEQ: Final = re.compile(rf"([0-9]+)[ \t]+({grammar.TOKEN})").fullmatch

MAX_SEQUENCE = 2**31 - 1
"""The sequence number "MUST be less than 2**31" (RFC 3261 section 8.1.1.5)."""


METHODS = frozenset(
    {"INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "PRACK", "UPDATE"}
    | {"INFO", "MESSAGE", "SUBSCRIBE", "NOTIFY", "REFER", "PUBLISH"}
)
"""The registered methods. Any other token is one too."""


class CSeq:
    """A sequence number and the method it counts."""

    __slots__ = ("method", "number")

    def __init__(self, number: int, method: str) -> None:
        self.number = number
        self.method = method

    def __str__(self) -> str:
        return f"{self.number} {self.method}"

    def __eq__(self, other: object) -> bool:
        """With another one, or with a plain pair."""
        pair = (other.number, other.method) if isinstance(other, CSeq) else other
        return (self.number, self.method) == pair

    def __hash__(self) -> int:
        return hash((self.number, self.method))

    def __repr__(self) -> str:
        return f"CSeq({self.number}, {self.method!r})"


def parse_cseq(text: str) -> CSeq:
    """Read ``1*DIGIT LWS Method``.

    Raises:
        PeerError: 400 when it is malformed or the number is 2**31 or more.
    """
    first, _, method = text.partition(" ")
    if method in METHODS and len(first) < 10 and first.isdecimal() and first.isascii():
        return CSeq(int(first), method)  # what nearly every message has
    match = _CSEQ(text)
    if match is None:
        raise PeerError(400, f"malformed: {text[:60]!r}")
    if len(match[1]) > 64 or int(match[1]) > MAX_SEQUENCE:
        raise PeerError(400, "the sequence number is 2**31 or more")
    return CSeq(int(match[1]), match[2])


CSEQ: Final = field("CSeq", parse_cseq)
