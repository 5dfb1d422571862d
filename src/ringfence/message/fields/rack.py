"""RAck (RFC 3262 section 7.2)."""

from __future__ import annotations

from typing import NamedTuple

from ringfence.message.errors import PeerError
from ringfence.message.fields.cseq import parse_cseq
from ringfence.message.fields.field import field
from ringfence.message.fields.numbers import RSEQ


class RAck(NamedTuple):
    """Which reliable provisional response is acknowledged: its RSeq and the CSeq of its request."""

    rseq: int
    number: int
    method: str

    def __str__(self) -> str:
        return f"{self.rseq} {self.number} {self.method}"


def parse_rack(text: str) -> RAck:
    """Read ``response-num LWS CSeq-num LWS Method``.

    Raises:
        PeerError: 400 when it is malformed or a number is out of range.
    """
    parts = text.split(None, 1)
    if len(parts) != 2:
        raise PeerError(400, f"malformed: {text[:60]!r}")
    cseq = parse_cseq(parts[1])
    return RAck(RSEQ.parse(parts[0]), cseq.number, cseq.method)


RACK = field("RAck", parse_rack)
