"""Call-ID and In-Reply-To (RFC 3261 sections 20.8 and 20.21)."""

from __future__ import annotations

from typing import Final

from ringfence.message import grammar
from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field


def parse_call_id(text: str) -> str:
    """Read a callid: ``word [ "@" word ]``; it is compared by its octets.

    Raises:
        PeerError: 400 when it is malformed.
    """
    if not grammar.callid(text):
        raise PeerError(400, f"malformed: {text[:60]!r}")
    return text


def parse_call_ids(text: str) -> tuple[str, ...]:
    """Read the callids of one line. A word may have a quote or "<" in it, so every comma separates.

    Raises:
        PeerError: 400 when one is malformed, or there are more than ``MAX_VALUES``.
    """
    if text.count(",") >= grammar.MAX_VALUES:
        raise PeerError(400, f"more than {grammar.MAX_VALUES} values")
    return tuple(parse_call_id(part.strip(" \t")) for part in text.split(","))


CALL_ID: Final = field("Call-ID", parse_call_id, compact="i")
IN_REPLY_TO: Final = field("In-Reply-To", parse_call_ids)
