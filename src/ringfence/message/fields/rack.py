"""RAck (RFC 3262 section 7.2)."""

from __future__ import annotations

from typing import Final, NamedTuple

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
    first, _, rest = text.replace("\t", " ").partition(" ")
    cseq = parse_cseq(rest.lstrip(" "))
    return RAck(RSEQ.parse(first), cseq.number, cseq.method)


RACK: Final = field("RAck", parse_rack)
