"""Timestamp (RFC 3261 section 20.38)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field

# Timestamp = 1*(DIGIT) [ "." *(DIGIT) ] [ LWS delay ];  delay = *(DIGIT) [ "." *(DIGIT) ]
_TIMESTAMP: Final = re.compile(r"([0-9]++(?:\.[0-9]*+)?+)(?:[ \t]++([0-9]*+(?:\.[0-9]*+)?+))?").fullmatch


class Timestamp(NamedTuple):
    """When the request was sent, by the client's own clock, and how long the server held it. As text: it is echoed."""

    sent: str
    delay: str | None = None

    def __str__(self) -> str:
        return f"{self.sent} {self.delay}" if self.delay is not None else self.sent


def parse_timestamp(text: str) -> Timestamp:
    """Read a Timestamp.

    Raises:
        PeerError: 400 when it is malformed.
    """
    match = _TIMESTAMP(text)
    if match is None:
        raise PeerError(400, f"malformed: {text[:60]!r}")
    return Timestamp(match[1], match[2])


TIMESTAMP: Final = field("Timestamp", parse_timestamp)
